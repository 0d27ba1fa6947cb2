// SPDX-License-Identifier: Apache-2.0
#include "models/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/aten.h"

namespace lora {
namespace {

struct Beam {
  Sequence ids;
  double score = 0;  // running: sum of log-probabilities; finished: divided by length^penalty
};

bool higher(const Beam& a, const Beam& b) { return a.score > b.score; }

// Log-probabilities [beams, V] of the next tokens, the end token barred while too short.
at::Tensor next_scores(const NextLogits& next, const std::vector<Beam>& beams,
                       const SearchOptions& options) {
  std::vector<Sequence> sequences;
  for (const Beam& beam : beams) sequences.push_back(beam.ids);
  at::Tensor scores = at::log_softmax(next(sequences).to(at::kFloat), -1);
  const auto length = static_cast<std::int64_t>(sequences.front().size());
  if (length < options.min_length) {
    scores.select(1, options.end).fill_(-std::numeric_limits<float>::infinity());
  }
  return scores;
}

// The best 2 x beams continuations over all running beams, best first.
std::vector<Beam> continuations(const std::vector<Beam>& running, const at::Tensor& scores,
                                std::int64_t keep) {
  const std::int64_t vocabulary = scores.size(1);
  std::vector<float> sums;
  for (const Beam& beam : running) sums.push_back(static_cast<float>(beam.score));
  const at::Tensor total = scores + at::tensor(sums).unsqueeze(1);
  const auto [values, places] = total.flatten().topk(std::min(keep, total.numel()));
  std::vector<Beam> best;
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    const auto place = places[i].item<std::int64_t>();
    Beam beam{running[static_cast<std::size_t>(place / vocabulary)].ids, values[i].item<float>()};
    beam.ids.push_back(place % vocabulary);
    best.push_back(std::move(beam));
  }
  return best;
}

Sequence greedy(const NextLogits& next, const Sequence& prompt, const SearchOptions& options) {
  Beam beam{prompt, 0};
  while (static_cast<std::int64_t>(beam.ids.size()) < options.max_length) {
    const at::Tensor scores = next_scores(next, {beam}, options);
    beam.ids.push_back(scores[0].argmax().item<std::int64_t>());
    if (beam.ids.back() == options.end) break;
  }
  return beam.ids;
}

class BeamSearch {
 public:
  BeamSearch(const Sequence& prompt, const SearchOptions& options)
      : options_(options), prompt_(static_cast<std::int64_t>(prompt.size())) {
    running_.push_back({prompt, 0});  // the others would only repeat it
  }

  Sequence run(const NextLogits& next) {
    while (step(next)) {
    }
    return finished_.empty() ? running_.front().ids : finished_.front().ids;
  }

 private:
  double penalised(double score, std::int64_t new_tokens) const {
    return score / std::pow(static_cast<double>(new_tokens), options_.length_penalty);
  }

  // One token further; false when the search is over.
  bool step(const NextLogits& next) {
    const auto length = static_cast<std::int64_t>(running_.front().ids.size()) + 1;
    auto candidates =
        continuations(running_, next_scores(next, running_, options_), 2 * options_.beams);
    running_.clear();
    bool any_open = false;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      Beam& candidate = candidates[i];
      const bool ends = candidate.ids.back() == options_.end || length >= options_.max_length;
      any_open |= !ends;
      const bool among_top = static_cast<std::int64_t>(i) < options_.beams;
      if (ends && among_top && can_improve_) finish(candidate, length - prompt_);
      if (!ends && static_cast<std::int64_t>(running_.size()) < options_.beams) {
        running_.push_back(std::move(candidate));
      }
    }
    if (running_.empty()) return false;
    // Early stop: the best open beam, at its present length, against the worst finished one.
    const bool full = static_cast<std::int64_t>(finished_.size()) >= options_.beams;
    const double best_open = penalised(running_.front().score, length - prompt_);
    can_improve_ = can_improve_ && (!full || best_open > finished_.back().score);
    return can_improve_ && any_open;
  }

  void finish(const Beam& beam, std::int64_t new_tokens) {
    finished_.push_back({beam.ids, penalised(beam.score, new_tokens)});
    std::stable_sort(finished_.begin(), finished_.end(), higher);
    if (static_cast<std::int64_t>(finished_.size()) > options_.beams) finished_.pop_back();
  }

  SearchOptions options_;
  std::int64_t prompt_;
  std::vector<Beam> running_, finished_;
  bool can_improve_ = true;
};

}  // namespace

Sequence search(const NextLogits& next, const Sequence& prompt, const SearchOptions& options) {
  if (options.beams == 1) return greedy(next, prompt, options);
  return BeamSearch(prompt, options).run(next);
}

}  // namespace lora
