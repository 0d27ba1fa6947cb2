// SPDX-License-Identifier: Apache-2.0
#include "models/gated_mlp.h"

#include "nn/projections.h"

namespace lora {

GatedMlp GatedMlp::load(const HfConfig& config, Modules& modules, const std::string& path) {
  const std::int64_t width = config.hidden, inner = config.intermediate;
  return {.path = path,
          .gate = modules.linear(path + ".gate_proj", width, inner, config.mlp_bias),
          .up = modules.linear(path + ".up_proj", width, inner, config.mlp_bias),
          .down = modules.linear(path + ".down_proj", inner, width, config.mlp_bias)};
}

void GatedMlp::for_each_layer(const LayerVisitor& visit) {
  visit(path + ".gate_proj", gate);
  visit(path + ".up_proj", up);
  visit(path + ".down_proj", down);
}

at::Tensor GatedMlp::forward(const at::Tensor& x, Activation activation) const {
  return gated_mlp(gate, up, down, x, activation);
}

}  // namespace lora
