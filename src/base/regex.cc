// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "base/error.h"

namespace lora {
namespace {

// Steps from one starting position, and memory, that a match may take.
constexpr std::uint32_t kMostSteps = 10'000'000;
constexpr std::uint32_t kMostKibibytes = 256 << 10;

// PCRE2 counts U+180E as white space, Unicode (since 6.3) does not.
constexpr std::string_view kWhite =
    "\\t-\\r\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"
    "\\x{205F}\\x{3000}";

// A pattern in PCRE2's spelling.
class Translation {
 public:
  Translation(std::string_view pattern, RegexDialect dialect) : in_(pattern), dialect_(dialect) {
    while (at_ < in_.size()) step();
    source_.push_back(in_.size());
  }

  const std::string& text() const { return out_; }
  // The character of the given pattern, from 1, that byte `offset` of text() came from.
  std::size_t character(std::size_t offset) const {
    const std::string_view before = in_.substr(0, source_[std::min(offset, out_.size())]);
    return 1 + static_cast<std::size_t>(std::count_if(before.begin(), before.end(),
                                                      [](char c) { return (c & 0xc0) != 0x80; }));
  }

 private:
  // `size` bytes of the pattern, written as `text`.
  void put(std::size_t size, std::string_view text) {
    out_ += text;
    source_.resize(out_.size(), at_);
    at_ += size;
  }
  void copy(std::size_t size) {
    for (; size > 0; --size) put(1, in_.substr(at_, 1));
  }

  void step() {
    const std::string_view rest = in_.substr(at_);
    if (rest[0] == '\\' && rest.size() > 1) return escape(rest[1]);
    if (in_class_ && rest.starts_with("[:") && rest.find(":]") != rest.npos) {
      return copy(rest.find(":]") + 2);
    }
    if (rest[0] == '[') in_class_ = true;
    if (rest[0] == ']') in_class_ = false;
    if (!in_class_ && rest.starts_with("{,") && rest.size() > 2 && rest[2] >= '0' &&
        rest[2] <= '9') {
      return put(1, "{0");
    }
    copy(1);
  }

  void escape(char letter) {
    if (letter == 's') return put(2, in_class_ ? std::string(kWhite) : join('[', kWhite, ']'));
    if (letter == 'S' && !in_class_) return put(2, join("[^", kWhite, ']'));
    if (letter == 'Z' && dialect_ == RegexDialect::python) return put(2, "\\z");
    copy(2);
  }

  std::string_view in_;
  RegexDialect dialect_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
  std::vector<std::size_t> source_;  // for each byte of out_, where it came from; then the end
};

std::string pcre_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

struct Compiled {
  pcre2_code* code;
  std::string mistake;  // where `code` is null
};

Compiled compile(std::string_view pattern, RegexDialect dialect) {
  const Translation translated(pattern, dialect);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.text().data()),
                    translated.text().size(), PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (code == nullptr) {
    return {nullptr, join(pcre_message(error), " at character ", translated.character(offset))};
  }
  // Without JIT (unusual platforms) the interpreter does the same more slowly.
  if (dialect == RegexDialect::oniguruma) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return {code, ""};
}

// What one thread needs to match; made once a thread.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(64U << 10, 64U << 20, nullptr);
  Scratch() {
    if (data == nullptr || context == nullptr || stack == nullptr) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_match_limit(context, kMostSteps);
    pcre2_set_heap_limit(context, kMostKibibytes);
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

struct Regex::Code {
  explicit Code(pcre2_code* made) : code(made) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* code;
};

std::optional<std::string> regex_mistake(std::string_view pattern, RegexDialect dialect) {
  Compiled made = compile(pattern, dialect);
  if (made.code == nullptr) return std::move(made.mistake);
  pcre2_code_free(made.code);
  return std::nullopt;
}

Regex::Regex(std::string_view pattern, std::string where, std::string_view remedy,
             RegexDialect dialect)
    : pattern_(pattern), where_(std::move(where)) {
  const Compiled made = compile(pattern, dialect);
  if (made.code == nullptr) {
    fail(where_, ": '", pattern, "' is not a regular expression (found ", made.mistake, "); ",
         remedy);
  }
  code_ = std::make_shared<Code>(made.code);
}

std::optional<Regex::Range> Regex::match(std::string_view text, std::size_t from,
                                         unsigned options) const {
  const Scratch& mine = scratch();
  const int count = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                from, options, mine.data, mine.context);
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (count == PCRE2_ERROR_MATCHLIMIT || count == PCRE2_ERROR_HEAPLIMIT ||
      count == PCRE2_ERROR_JIT_STACKLIMIT || count == PCRE2_ERROR_DEPTHLIMIT) {
    fail(where_, ": the regular expression '", pattern_, "' tries too many ways to match (found ",
         pcre_message(count), " at byte ", from, " of a text of ", text.size(),
         "); write it without repetitions inside repetitions");
  }
  if (count < 0) {
    fail(where_, ": the regular expression '", pattern_, "' cannot be matched (found ",
         pcre_message(count), " at byte ", from, " of a text of ", text.size(),
         "); check the pattern and the text");
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(mine.data);
  return Range{range[0], range[1]};
}

bool Regex::matches(std::string_view text) const {
  return match(text, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED).has_value();
}

std::optional<Regex::Range> Regex::find(std::string_view text, std::size_t from) const {
  if (from >= text.size()) return std::nullopt;
  return match(text, from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY);
}

}  // namespace lora
