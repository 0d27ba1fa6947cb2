// SPDX-License-Identifier: Apache-2.0
#include "jinja/budget.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "jinja/jinja.h"

namespace lora::jinja {
namespace {

thread_local Budget* current = nullptr;

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr std::size_t kShare = 50;  // sanitizers are slow, and a fuzzer wants many renderings
#else
constexpr std::size_t kShare = 1;
#endif

}  // namespace

Budget* current_budget() { return current; }

Budget::Budget() : outer_(current) { current = this; }

Budget::~Budget() {
  current = nullptr;
  for (const auto& list : lists_) list->clear();
  for (const auto& dict : dicts_) dict->items.clear();
  current = outer_;
}

void spend_steps(std::size_t count) {
  if (current == nullptr) return;
  current->steps_ += count;
  if (current->steps_ > kMostSteps / kShare) {
    throw Excess(join("takes too many steps (at most ", kMostSteps,
                      "); use a template with shorter loops"));
  }
}

void spend_bytes(std::size_t count) {
  if (current == nullptr) return;
  spend_reading(count);
  current->bytes_ += count;
  if (current->bytes_ > kMostBytes / kShare) {
    throw Excess(join("makes too much text and too many lists (at most ", kMostBytes >> 20,
                      " MiB in one rendering); use a template that repeats less"));
  }
}

void append(std::string& out, std::string_view text) {
  constexpr std::size_t kLongest = kLongestText / kShare;
  if (text.size() > kLongest - std::min(out.size(), kLongest)) {
    throw Excess(join("a text becomes too long (at most ", kLongestText >> 20,
                      " MiB); use a template that repeats less"));
  }
  spend_bytes(text.size());
  out += text;
}

Nested::Nested() : budget_(current) {
  if (budget_ == nullptr || ++budget_->depth_ <= kDeepest) return;
  --budget_->depth_;
  fail("nested too deeply (at most ", kDeepest, " levels)");
}

Nested::~Nested() {
  if (budget_ != nullptr) --budget_->depth_;
}

std::size_t find_text(std::string_view text, std::string_view what, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const void* found = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  const std::size_t at =
      found == nullptr ? text.size()
                       : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
  spend_reading(at - from + what.size());
  return found == nullptr ? std::string_view::npos : at;
}

}  // namespace lora::jinja
