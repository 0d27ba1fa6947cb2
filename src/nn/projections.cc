// SPDX-License-Identifier: Apache-2.0
#include "nn/projections.h"

#include <array>
#include <vector>

#include "io/aten.h"
#include "nn/backends.h"

namespace lora {
namespace {

// Without a node for all of them: each as it can be computed alone.
std::vector<at::Tensor> one_by_one(const at::Tensor& x, std::span<const LayerTerm> terms) {
  std::vector<at::Tensor> outputs;
  for (const LayerTerm& term : terms) outputs.push_back(forward_term(x, term));
  return outputs;
}

at::Tensor mlp_in_parts(const at::Tensor& x, const LayerTerm& gate, const LayerTerm& up,
                        const LayerTerm& down, Activation activation) {
  return forward_term(gated(forward_term(x, gate), forward_term(x, up), activation), down);
}

}  // namespace

Qkv project_qkv(const Layer& q, const Layer& k, const Layer& v, const at::Tensor& x) {
  const std::array terms = {term_of(q), term_of(k), term_of(v)};
  const std::vector<at::Tensor> out = run(&Backend::linears, one_by_one, x, terms);
  return {out[0], out[1], out[2]};
}

at::Tensor gated_mlp(const Layer& gate, const Layer& up, const Layer& down, const at::Tensor& x,
                     Activation activation) {
  return run(&Backend::mlp, mlp_in_parts, x, term_of(gate), term_of(up), term_of(down), activation);
}

}  // namespace lora
