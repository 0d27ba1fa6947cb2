// SPDX-License-Identifier: Apache-2.0
// Text generation at the level of token ids.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/model.h"

namespace lora {

using Ids = std::vector<std::int64_t>;

struct GenerateOptions {
  std::int64_t max_tokens = 128;
  double temperature = 0;         // 0 = greedy
  std::int64_t top_k = 0;         // 0 = all
  double top_p = 1;               // smallest set of tokens whose probability reaches top_p
  double repetition_penalty = 1;  // above 1: tokens already there become less likely
  std::uint64_t seed = 0;
  Ids stop;  // a row ends with the first of these, which is part of the output
  // Called with the logits [B, V] of every step, before penalty and temperature. For tests.
  std::function<void(const at::Tensor& logits)> on_logits;
};

// New tokens of every prompt. Prompts may differ in length (padded on the left, which changes
// nothing). Order of the steps as in transformers: penalty, temperature, top-k, top-p. Ends at the
// model's longest sequence. Throws Error for an empty prompt or one without room for an answer.
std::vector<Ids> generate(CausalLM& model, const std::vector<Ids>& prompts,
                          const GenerateOptions& options, at::Device device = at::kCPU);

// The next token from the logits [V] of one row; `seen`: prompt and output so far.
std::int64_t choose_token(const at::Tensor& logits, const Ids& seen, const GenerateOptions& options,
                          at::Generator& generator);

}  // namespace lora
