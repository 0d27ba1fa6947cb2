// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>

#include "base/error.h"

namespace lora {

namespace {

constexpr std::string_view kWhite =
    "\\t-\\r\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"
    "\\x{205F}\\x{3000}";

// PCRE2 counts U+180E as white space, Unicode (since 6.3) does not.
std::string with_unicode_white(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(kWhite) : "[" + std::string(kWhite) + "]";
      } else if (escaped == 'S' && !in_class) {
        out += "[^" + std::string(kWhite) + "]";
      } else {
        out += {c, escaped};
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

std::string pcre_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// What one thread needs to match; made once a thread.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(64U << 10, 64U << 20, nullptr);
  Scratch() {
    if (data == nullptr || context == nullptr || stack == nullptr) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_match_limit(context, UINT32_MAX);
  }
  ~Scratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

Scratch& scratch() {
  thread_local Scratch mine;
  return mine;
}

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Pattern Pattern::regex(std::string_view pattern, const std::string& where) {
  const std::string text = with_unicode_white(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_shared<Code>();
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                 PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (compiled->code == nullptr) {
    fail(where, ": the regular expression '", pattern,
         "' does not compile (found: ", pcre_message(error),
         "); take the file from the original model");
  }
  // Without JIT (unusual platforms) the interpreter does the same more slowly.
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);
  Pattern made;
  made.code_ = compiled;
  made.where_ = where;
  return made;
}

Pattern Pattern::literal(std::string_view text) {
  Pattern made;
  made.literal_ = text;
  return made;
}

void Pattern::find(std::string_view text, const std::function<void(Range)>& found) const {
  if (code_ == nullptr) {
    if (literal_.empty()) return;
    for (std::size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos;) {
      found({at, at + literal_.size()});
      at += literal_.size();
    }
    return;
  }
  Scratch& mine = scratch();
  for (std::size_t at = 0; at < text.size();) {
    const int count =
        pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                    PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, mine.data, mine.context);
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0) fail(where_, ": matching failed at byte ", at, " (", pcre_message(count), ")");
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(mine.data);
    const Range match{range[0], range[1]};
    if (match.second <= at) return;  // \K or look-behind tricks: never loop
    found(match);
    at = match.second;
  }
}

std::string Pattern::replaced(std::string_view text, std::string_view content) const {
  std::string out;
  std::size_t done = 0;
  find(text, [&](Range match) {
    out.append(text.substr(done, match.first - done)).append(content);
    done = match.second;
  });
  if (done == 0) return std::string(text);
  return out.append(text.substr(done));
}

}  // namespace lora
