// SPDX-License-Identifier: Apache-2.0
#include "train/adapter_parameters.h"

#include "io/aten.h"

namespace lora {

std::vector<NamedLayer> layers_of(Network& network, const std::string& prefix) {
  std::vector<NamedLayer> layers;
  network.for_each_layer([&](const std::string& name, Layer& layer) {
    layers.push_back({prefix + name, &layer});
  });
  return layers;
}

std::vector<Parameter> adapter_parameters(const std::vector<NamedLayer>& layers,
                                          const std::string& head) {
  std::vector<Parameter> parameters;
  for (const NamedLayer& named : layers) {
    const auto add = [&](at::Tensor& tensor, const char* end) {
      if (!tensor.defined()) return;
      tensor = tensor.detach().to(at::kFloat).contiguous().set_requires_grad(true);
      parameters.push_back({.name = head + named.name + end, .value = tensor});
    };
    for (Adapter& adapter : named.layer->adapters) {
      if (!adapter.trains) continue;
      add(adapter.a, ".lora_A.weight");
      add(adapter.b, ".lora_B.weight");
      add(adapter.magnitude, ".lora_magnitude_vector");
    }
  }
  return parameters;
}

}  // namespace lora
