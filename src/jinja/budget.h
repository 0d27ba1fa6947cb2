// SPDX-License-Identifier: Apache-2.0
// What one rendering may use. A template comes with a model from anywhere: it must neither run for
// ever nor fill the memory or the stack. Each of these throws Error where a limit is passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/value.h"

namespace lora::jinja {

inline constexpr std::size_t kMostSteps = 10'000'000;  // some seconds
inline constexpr std::size_t kMostBytes = 512 << 20;    // of all values made, together
inline constexpr std::size_t kLongestText = 64 << 20;
inline constexpr int kDeepest = 1000;  // expressions, blocks, calls and values inside each other

// The limits are in force on this thread while it lives; without one there are none. Lists,
// mappings and scopes that are made meanwhile live as long: at the end each is emptied, so that
// circles are freed and chains of any length do not recurse.
class Budget {
 public:
  Budget();
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  void keep(std::shared_ptr<List> list) { lists_.push_back(std::move(list)); }
  void keep(std::shared_ptr<Dict> dict) { dicts_.push_back(std::move(dict)); }

 private:
  friend Budget* current_budget();
  friend void spend_steps(std::size_t count);
  friend void spend_bytes(std::size_t count);
  friend class Nested;

  Budget* outer_;
  std::size_t steps_ = 0, bytes_ = 0;
  int depth_ = 0;
  std::vector<std::shared_ptr<List>> lists_;
  std::vector<std::shared_ptr<Dict>> dicts_;
};

Budget* current_budget();  // nullptr: no limits

// A step is about what evaluating one operator takes.
void spend_steps(std::size_t count = 1);
// Memory that is taken, and the time to fill it.
void spend_bytes(std::size_t count);
// The time to read `bytes` of text.
inline void spend_reading(std::size_t bytes) { spend_steps(bytes / 256); }
// out += text.
void append(std::string& out, std::string_view text);

// One level of nesting while it lives.
class Nested {
 public:
  Nested();
  ~Nested();
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Budget* budget_;
};

// Byte position of `what` at or behind `from`, in time that is linear in both; npos: not there.
std::size_t find_text(std::string_view text, std::string_view what, std::size_t from = 0);

}  // namespace lora::jinja
