// SPDX-License-Identifier: Apache-2.0
#include "nn/projections.h"

#include <array>
#include <vector>

#include "io/aten.h"
#include "nn/kernels/lora_linear.h"

namespace lora {

Qkv project_qkv(const Layer& q, const Layer& k, const Layer& v, const at::Tensor& x) {
  if (kernels::usable_linear(q, x) && kernels::usable_linear(k, x) &&
      kernels::usable_linear(v, x)) {
    const std::array layers = {&q, &k, &v};
    const std::vector<at::Tensor> out = kernels::lora_linears(layers, x);
    return {out[0], out[1], out[2]};
  }
  return {q.forward(x), k.forward(x), v.forward(x)};
}

at::Tensor gated_mlp(const Layer& gate, const Layer& up, const Layer& down, const at::Tensor& x,
                     Activation activation) {
  if (kernels::usable_linear(gate, x) && kernels::usable_linear(up, x) &&
      kernels::usable_linear(down, x)) {
    return kernels::lora_mlp(gate, up, down, x, activation);
  }
  return down.forward(gated(gate.forward(x), up.forward(x), activation));
}

}  // namespace lora
