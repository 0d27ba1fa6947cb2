// SPDX-License-Identifier: Apache-2.0
// Greedy and beam search over any next-token function, as transformers 5.12 generates
// (early_stopping false). Compared with tests/fixtures/blip: ids equal.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace lora {

struct SearchOptions {
  std::int64_t beams = 1;
  std::int64_t min_length = 0;   // tokens with the prompt; the end token is not chosen before
  std::int64_t max_length = 20;  // tokens with the prompt
  double length_penalty = 1;     // score = log-probability / (new tokens ^ penalty)
  std::int64_t end = 2;          // token that ends a sequence
};

using Sequence = std::vector<std::int64_t>;
// Logits [sequences, V], float32, of the token after each sequence; all have the same length.
using NextLogits = std::function<at::Tensor(const std::vector<Sequence>&)>;

// The best sequence, prompt included, with the end token where it was reached.
Sequence search(const NextLogits& next, const Sequence& prompt, const SearchOptions& options);

}  // namespace lora
