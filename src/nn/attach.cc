// SPDX-License-Identifier: Apache-2.0
#include "nn/attach.h"

#include <algorithm>

#include "io/aten.h"

namespace lora {

std::vector<LayerShape> shapes_of(const std::vector<NamedLayer>& layers) {
  std::vector<LayerShape> shapes;
  for (const NamedLayer& named : layers) {
    shapes.push_back({named.name, named.layer->weight.sizes().vec()});
  }
  return shapes;
}

std::shared_ptr<Adapter> make_adapter(const AdapterModule& module, const Layer& layer) {
  const auto device = layer.weight.device();
  auto adapter = std::make_shared<Adapter>();
  const std::int64_t rank = module.rank();
  std::vector<std::int64_t> down = layer.weight.sizes().vec();  // [out, in, ...] -> [rank, in, ...]
  down[0] = rank;
  std::vector<std::int64_t> up = {module.out_features(), rank};
  if (layer.is_conv) up.insert(up.end(), {1, 1});
  const auto own = [&](const at::Tensor& tensor, at::IntArrayRef shape) {
    return tensor.to(device, at::kFloat, false, true).reshape(shape).contiguous();
  };
  adapter->a = own(module.down(), down);
  adapter->b = own(module.b, up);
  if (module.magnitude.defined()) adapter->magnitude = own(module.magnitude, {up[0]});
  adapter->alpha = module.alpha;
  adapter->scale = module.scale;
  return adapter;
}

void attach(const AdapterFile& file, const AdapterMatch& match,
            const std::vector<NamedLayer>& layers) {
  for (const AdapterMatch::Pair& pair : match.matched) {
    Layer& layer = *layers.at(pair.layer).layer;
    layer.adapter = make_adapter(file.modules.at(pair.module), layer);
  }
}

AdapterFile detach(const std::vector<NamedLayer>& layers, AdapterKind kind) {
  AdapterFile file;
  file.kind = kind;
  for (const NamedLayer& named : layers) {
    if (named.layer->adapter == nullptr) continue;
    const Adapter& adapter = *named.layer->adapter;
    AdapterModule module;
    module.path = named.name;
    module.a = adapter.a.detach();
    module.b = adapter.b.detach();
    if (adapter.magnitude.defined()) module.magnitude = adapter.magnitude.detach();
    module.alpha = adapter.alpha;
    module.alpha_known = true;
    module.scale = adapter.scale;
    const auto rank = static_cast<double>(adapter.rank());
    file.use_rslora = file.use_rslora || std::abs(adapter.scale * rank - adapter.alpha) >
                                             1e-9 * std::abs(adapter.alpha);
    file.use_dora = file.use_dora || adapter.magnitude.defined();
    file.fan_in_fan_out = file.fan_in_fan_out || named.layer->fan_in_fan_out;
    file.modules.push_back(std::move(module));
  }
  std::sort(file.modules.begin(), file.modules.end(),
            [](const AdapterModule& a, const AdapterModule& b) { return a.path < b.path; });
  return file;
}

}  // namespace lora
