// SPDX-License-Identifier: Apache-2.0
#include "nn/attach.h"

#include <algorithm>
#include <cmath>

#include "io/aten.h"

namespace lora {
namespace {

Adapter make_adapter(const AdapterModule& module, const Layer& layer, const AdapterUse& use) {
  const std::int64_t rank = module.rank();
  std::vector<std::int64_t> down = layer.weight.sizes().vec();  // [out, in, ...] -> [rank, in, ...]
  down[0] = rank;
  std::vector<std::int64_t> up = {module.out_features(), rank};
  if (layer.is_conv) up.insert(up.end(), {1, 1});
  const auto own = [&](const at::Tensor& tensor, at::IntArrayRef shape) {
    return tensor.to(layer.weight.device(), at::kFloat, false, true).reshape(shape).contiguous();
  };
  Adapter adapter{.a = own(module.down(), down), .b = own(module.b, up)};
  if (module.magnitude.defined()) adapter.magnitude = own(module.magnitude, {up[0]});
  adapter.alpha = module.alpha;
  adapter.scale = module.scale;
  adapter.dropout = use.dropout;
  adapter.weight = use.weight;
  adapter.trains = use.trains;
  return adapter;
}

AdapterModule module_of(const Adapter& adapter, const std::string& path) {
  AdapterModule module;
  module.path = path;
  module.a = adapter.a.detach();
  module.b = adapter.b.detach();
  if (adapter.magnitude.defined()) module.magnitude = adapter.magnitude.detach();
  module.alpha = adapter.alpha;
  module.alpha_known = true;
  module.scale = adapter.scale;
  return module;
}

// scale = alpha / sqrt(rank), not alpha / rank.
bool is_rslora(const Adapter& adapter) {
  const auto rank = static_cast<double>(adapter.rank());
  return std::abs(adapter.scale * rank - adapter.alpha) > 1e-9 * std::abs(adapter.alpha);
}

}  // namespace

std::vector<LayerShape> shapes_of(const std::vector<NamedLayer>& layers) {
  std::vector<LayerShape> shapes;
  for (const NamedLayer& named : layers) {
    shapes.push_back({named.name, named.layer->weight.sizes().vec()});
  }
  return shapes;
}

void attach(const AdapterFile& file, const AdapterMatch& match,
            const std::vector<NamedLayer>& layers, const AdapterUse& use) {
  for (const AdapterMatch::Pair& pair : match.matched) {
    const NamedLayer& named = layers.at(pair.layer);
    Adapter adapter = make_adapter(file.modules.at(pair.module), *named.layer, use);
    add_adapter(named.layer->adapters, std::move(adapter), named.name);
  }
}

AdapterFile detach(const std::vector<NamedLayer>& layers, AdapterKind kind) {
  AdapterFile file;
  file.kind = kind;
  for (const NamedLayer& named : layers) {
    for (const Adapter& adapter : named.layer->adapters) {
      if (!adapter.trains) continue;
      file.use_rslora = file.use_rslora || is_rslora(adapter);
      file.use_dora = file.use_dora || adapter.magnitude.defined();
      file.fan_in_fan_out = file.fan_in_fan_out || named.layer->fan_in_fan_out;
      file.modules.push_back(module_of(adapter, named.name));
    }
  }
  std::sort(file.modules.begin(), file.modules.end(),
            [](const AdapterModule& a, const AdapterModule& b) { return a.path < b.path; });
  return file;
}

}  // namespace lora
