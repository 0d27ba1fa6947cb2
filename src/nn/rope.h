// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding (arXiv 2104.09864) and its scalings, with the numbers of
// transformers 5: default, linear, dynamic (NTK), llama3, yarn (arXiv 2309.00071).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

namespace lora {

// As config.json describes it ("rope_parameters", or "rope_theta" + "rope_scaling").
struct Rope {
  std::string type = "default";
  double theta = 10000;
  double factor = 1;
  std::int64_t original_positions = 0;           // llama3, yarn: length of the first training
  double low_frequency = 1, high_frequency = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;          // yarn
  std::optional<double> attention_factor;        // yarn
  double mscale = 0, mscale_all = 0;             // yarn; 0: absent
  bool truncate = true;                          // yarn
};

struct RopeFrequencies {
  at::Tensor inverse;    // [d / 2] float32
  double amplitude = 1;  // factor on cos and sin
};

// Throws Error naming `where` for a type that is not known, with the known ones.
void check_rope(const Rope& rope, const std::string& where);

// `max_positions` is max_position_embeddings; `length` the longest position + 1 of the pass, used
// by "dynamic" only (0: not longer than max_positions).
RopeFrequencies rope_frequencies(const Rope& rope, std::int64_t head_dim,
                                 std::int64_t max_positions, std::int64_t length = 0);

struct RopeTables {
  at::Tensor cos, sin;  // [B, T, d] float32
};

// positions [B, T] int64.
RopeTables rope_tables(const RopeFrequencies& frequencies, const at::Tensor& positions);

}  // namespace lora
