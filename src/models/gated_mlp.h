// SPDX-License-Identifier: Apache-2.0
// Feed-forward part of the families with rotary positions: down(activation(gate x) * up x).
#pragma once

#include <string>

#include "models/hf_config.h"
#include "models/modules.h"

namespace lora {

struct GatedMlp {
  std::string path;  // "model.layers.0.mlp"
  Layer gate, up, down;

  static GatedMlp load(const HfConfig& config, Modules& modules, const std::string& path);
  void for_each_layer(const LayerVisitor& visit);

  // x [..., D], already normalised -> [..., D].
  at::Tensor forward(const at::Tensor& x, Activation activation) const;
};

}  // namespace lora
