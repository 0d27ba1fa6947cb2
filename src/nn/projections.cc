// SPDX-License-Identifier: Apache-2.0
#include "nn/projections.h"

#include <ATen/ATen.h>

namespace lora {

Qkv project_qkv(const Layer& q, const Layer& k, const Layer& v, const at::Tensor& x) {
  return {q.forward(x), k.forward(x), v.forward(x)};
}

at::Tensor gated_mlp(const Layer& gate, const Layer& up, const Layer& down, const at::Tensor& x,
                     Activation activation) {
  return down.forward(gated(gate.forward(x), up.forward(x), activation));
}

}  // namespace lora
