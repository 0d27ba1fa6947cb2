// SPDX-License-Identifier: Apache-2.0
#include "models/generate.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

at::Tensor penalised(const at::Tensor& logits, const Ids& seen, double penalty) {
  if (penalty == 1) return logits;
  const at::Tensor ids = std::get<0>(at::_unique(at::tensor(seen, at::kLong)));
  const at::Tensor old = logits.index_select(0, ids);
  return logits.index_copy(0, ids, at::where(old < 0, old * penalty, old / penalty));
}

at::Tensor keep_top_k(const at::Tensor& logits, std::int64_t k) {
  if (k <= 0 || k >= logits.size(0)) return logits;
  const at::Tensor least = std::get<0>(logits.topk(k)).min();
  return logits.masked_fill(logits < least, kNever);
}

// Drops the least likely tokens as long as those that stay reach probability p.
at::Tensor keep_top_p(const at::Tensor& logits, double p) {
  if (p >= 1) return logits;
  const auto [sorted, order] = logits.sort(0, /*descending=*/false);
  at::Tensor drop = sorted.softmax(0).cumsum(0) <= 1 - p;
  drop[drop.size(0) - 1] = false;
  return logits.index_fill(0, order.masked_select(drop), kNever);
}

TextTensors left_padded(const std::vector<Ids>& prompts, std::int64_t length) {
  const auto rows = static_cast<std::int64_t>(prompts.size());
  Ids ids, positions, documents;
  bool padded = false;
  for (const Ids& prompt : prompts) {
    const std::int64_t missing = length - static_cast<std::int64_t>(prompt.size());
    padded |= missing > 0;
    for (std::int64_t at = 0; at < length; ++at) {
      const bool real = at >= missing;
      ids.push_back(real ? prompt[static_cast<std::size_t>(at - missing)] : 0);
      positions.push_back(std::max<std::int64_t>(0, at - missing));
      documents.push_back(real ? 1 : 0);
    }
  }
  const auto tensor = [&](const Ids& values) {
    return at::tensor(values, at::kLong).view({rows, length});
  };
  TextTensors batch{.ids = tensor(ids), .positions = tensor(positions)};
  if (padded) batch.documents = tensor(documents);
  return batch;
}

void move_to(TextTensors& batch, at::Device device) {
  for (at::Tensor* tensor : {&batch.ids, &batch.positions, &batch.documents}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
}

std::int64_t check_prompts(const CausalLM& model, const std::vector<Ids>& prompts) {
  std::size_t longest = 0;
  for (const Ids& prompt : prompts) {
    if (prompt.empty()) fail_usage("prompt: no tokens; give a text");
    longest = std::max(longest, prompt.size());
  }
  const auto length = static_cast<std::int64_t>(longest);
  if (length >= model.max_positions()) {
    fail_usage("prompt: too long (found ", length, " tokens, expected fewer than ",
               model.max_positions(), ", the longest sequence of this model); shorten it");
  }
  return length;
}

}  // namespace

std::int64_t choose_token(const at::Tensor& logits, const Ids& seen, const GenerateOptions& options,
                          at::Generator& generator) {
  at::Tensor scores = penalised(logits, seen, options.repetition_penalty);
  if (options.temperature <= 0) return scores.argmax().item<std::int64_t>();
  scores = keep_top_p(keep_top_k(scores / options.temperature, options.top_k), options.top_p);
  return at::multinomial(scores.softmax(0), 1, false, generator).item<std::int64_t>();
}

std::vector<Ids> generate(CausalLM& model, const std::vector<Ids>& prompts,
                          const GenerateOptions& options, at::Device device) {
  const at::NoGradGuard no_grad;
  if (prompts.empty()) return {};
  const std::int64_t length = check_prompts(model, prompts);
  const std::int64_t steps = std::min(options.max_tokens, model.max_positions() - length);
  const std::size_t rows = prompts.size();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  std::vector<Ids> seen = prompts, answers(rows);
  std::vector<bool> done(rows, false);
  KeyValueCache cache;
  TextTensors batch = left_padded(prompts, length);
  for (std::int64_t step = 0; step < steps; ++step) {
    move_to(batch, device);
    const at::Tensor logits = model.next_logits(batch, cache).cpu();
    if (options.on_logits) options.on_logits(logits);
    TextTensors next{.ids = at::zeros({static_cast<std::int64_t>(rows), 1}, at::kLong),
                     .positions = batch.positions.cpu().narrow(1, batch.ids.size(1) - 1, 1) + 1};
    for (std::size_t row = 0; row < rows; ++row) {
      if (done[row]) continue;
      const auto at = static_cast<std::int64_t>(row);
      const std::int64_t token = choose_token(logits[at], seen[row], options, generator);
      seen[row].push_back(token);
      answers[row].push_back(token);
      next.ids[at][0] = token;
      done[row] = std::find(options.stop.begin(), options.stop.end(), token) != options.stop.end();
    }
    if (std::find(done.begin(), done.end(), false) == done.end()) break;
    batch = next;
  }
  return answers;
}

}  // namespace lora
