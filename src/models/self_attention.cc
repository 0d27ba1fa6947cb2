// SPDX-License-Identifier: Apache-2.0
#include "models/self_attention.h"

#include "io/aten.h"
#include "nn/projections.h"

namespace lora {

SelfAttention SelfAttention::load(const HfConfig& config, Modules& modules,
                                  const std::string& path) {
  const std::int64_t queries = config.heads * config.head_dim;
  const std::int64_t keys = config.kv_heads * config.head_dim;
  SelfAttention self{
      .path = path,
      .q = modules.linear(path + ".q_proj", config.hidden, queries, config.qkv_bias),
      .k = modules.linear(path + ".k_proj", config.hidden, keys, config.qkv_bias),
      .v = modules.linear(path + ".v_proj", config.hidden, keys, config.qkv_bias),
      .o = modules.linear(path + ".o_proj", queries, config.hidden, config.output_bias)};
  if (config.head_norms) {
    self.q_norm = modules.tensor(path + ".q_norm.weight", {config.head_dim});
    self.k_norm = modules.tensor(path + ".k_norm.weight", {config.head_dim});
  }
  return self;
}

void SelfAttention::for_each_layer(const LayerVisitor& visit) {
  visit(path + ".q_proj", q);
  visit(path + ".k_proj", k);
  visit(path + ".v_proj", v);
  visit(path + ".o_proj", o);
}

at::Tensor SelfAttention::forward(const at::Tensor& x, const HfConfig& config, std::size_t layer,
                                  const Step& step) const {
  const Qkv all = project_qkv(q, k, v, x);
  at::Tensor queries = all.q.unflatten(-1, {config.heads, config.head_dim});
  at::Tensor keys = all.k.unflatten(-1, {config.kv_heads, config.head_dim});
  const at::Tensor values = all.v.unflatten(-1, {config.kv_heads, config.head_dim});
  if (q_norm.defined()) {
    queries = rms_norm(queries, q_norm, config.norm_eps);
    keys = rms_norm(keys, k_norm, config.norm_eps);
  }
  queries = rotate(queries, step.rope.cos, step.rope.sin);
  keys = rotate(keys, step.rope.cos, step.rope.sin);
  return attend(config, layer, step, queries, keys, values).flatten(2);
}

}  // namespace lora
