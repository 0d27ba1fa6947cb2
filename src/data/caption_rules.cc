// SPDX-License-Identifier: Apache-2.0
#include "data/caption_rules.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <vector>

#include "base/text.h"

namespace lora {
namespace {

// "\(" stands for a bracket that is no mark; these bytes stand for it while marks are removed.
constexpr std::string_view kBrackets = "()[]", kHidden = "\x01\x02\x03\x04";

std::string with_hidden_brackets(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t bracket =
        text[i] == '\\' && i + 1 < text.size() ? kBrackets.find(text[i + 1]) : kBrackets.npos;
    out += bracket == kBrackets.npos ? text[i] : kHidden[bracket];
    i += bracket != kBrackets.npos;
  }
  return out;
}

std::string with_shown_brackets(std::string text) {
  for (char& c : text) {
    const std::size_t bracket = kHidden.find(c);
    if (bracket != kHidden.npos) c = kBrackets[bracket];
  }
  return text;
}

// The ")" of "(word:1.2)" where the text at `at` is ":1.2)".
std::optional<std::size_t> end_of_weight(std::string_view text, std::size_t at) {
  std::size_t first = at + 1;
  while (first < text.size() && text[first] == ' ') ++first;
  const std::size_t end = text.find_first_not_of("0123456789.", first);
  const bool weight = end != text.npos && end > first && text[end] == ')';
  return weight ? std::optional(end) : std::nullopt;
}

// "(word:1.2)" -> "word", wherever it stands. A face such as "(:3)" has no word.
std::string without_weights(std::string_view text) {
  constexpr char kGone = '\x05';
  std::string out;
  std::vector<std::size_t> open;  // places in `out`
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(') open.push_back(out.size());
    if (text[i] == ')' && !open.empty()) open.pop_back();
    const bool may_end = text[i] == ':' && !open.empty() && open.back() + 1 < out.size();
    const auto end = may_end ? end_of_weight(text, i) : std::nullopt;
    if (!end) {
      out += text[i];
      continue;
    }
    out[open.back()] = kGone;
    open.pop_back();
    i = *end;
  }
  std::erase(out, kGone);
  return out;
}

bool is_open(char c) { return c == '(' || c == '['; }

// Of every opening bracket the place of the one that closes it; npos where none does.
std::vector<std::size_t> closing_brackets(std::string_view text) {
  std::vector<std::size_t> closing(text.size(), text.npos), open;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_open(text[i])) open.push_back(i);
    const bool closes = !open.empty() && text[i] == (text[open.back()] == '(' ? ')' : ']');
    if (!closes) continue;
    closing[open.back()] = i;
    open.pop_back();
  }
  return closing;
}

bool is_part_of_face(char c) { return std::string_view(":;=^<>'|").find(c) != std::string::npos; }

// What stands in brackets is a tag or several, no face and no [from:to:step] of WebUIs.
bool is_emphasis(std::string_view text, std::size_t open, std::size_t close) {
  if (close == text.npos || close < open + 3) return false;
  const std::string_view inside = text.substr(open + 1, close - open - 1);
  const bool edit = text[open] == '[' && inside.find_first_of(":|") != inside.npos;
  return !edit && !is_part_of_face(inside.front()) && !is_part_of_face(inside.back());
}

// "((word))", "[word]" and "(long hair, smile)" lose brackets that hold whole tags. "saber (fate)"
// names a tag, and "(o)_(o)" and ":)" are faces.
std::string without_emphasis(const std::string& text) {
  constexpr char kGone = '\x05';
  const std::vector<std::size_t> closing = closing_brackets(text);
  std::string out = text;
  bool at_start = true;  // of a tag
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ',') at_start = true;
    if (text[i] == ',' || text[i] == ' ' || !at_start) continue;
    at_start = is_open(text[i]) && is_emphasis(text, i, closing[i]);
    if (!at_start) continue;
    const std::size_t next = out.find_first_not_of(' ', closing[i] + 1);
    at_start = next == out.npos || out[next] == ',' || out[next] == kGone;
    if (at_start) out[i] = out[closing[i]] = kGone;
  }
  std::erase(out, kGone);
  return out;
}

// "<lora:name:0.8>" goes.
std::string without_networks(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.front() == '<' ? text.find_first_of("<>", 1) : text.find('<');
    const std::string_view inside = text.substr(text.front() == '<' ? 1 : 0);
    const bool network = inside.starts_with("lora:") || inside.starts_with("lyco:") ||
                         inside.starts_with("hypernet:");
    const bool closed = text.front() == '<' && end != text.npos && text[end] == '>';
    const std::size_t size = closed ? end + 1 : std::min(end, text.size());
    if (!closed || !network) out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out;
}

std::string one_blank(const std::string& text) {
  std::string out;
  for (char c : text) {
    const char blank = c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    if (blank == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += blank;
  }
  return trim(out);
}

// A tag list loses its repeated and empty tags; a sentence keeps its commas.
std::string unique_tags(const std::string& text) {
  std::vector<std::string> kept;
  std::set<std::string> seen;
  for (const std::string& part : split(text, ',')) {
    const std::string tag = trim(part);
    if (!tag.empty() && seen.insert(lower_ascii(tag)).second) kept.push_back(tag);
  }
  return join_words(kept);
}

std::string cleaned(const std::string& text) {
  const std::string plain =
      one_blank(without_weights(with_hidden_brackets(without_networks(text))));
  return with_shown_brackets(unique_tags(without_emphasis(plain)));
}

// ASCII letters and digits, "_", and letters of two bytes (accents, Greek, Cyrillic). Chinese and
// Japanese write words without blanks: their letters end a word.
bool is_word_byte(std::string_view text, std::size_t at) {
  const auto c = static_cast<unsigned char>(text[at]);
  if (c < 0x80) return std::isalnum(c) != 0 || c == '_';
  if (c >= 0xc0) return c < 0xe0;
  return at > 0 && (static_cast<unsigned char>(text[at - 1]) & 0xe0) == 0xc0;
}

}  // namespace

std::string on_one_line(std::string_view text) {
  std::vector<std::string> lines;
  std::string unified(text);
  std::ranges::replace(unified, '\r', '\n');
  for (const std::string& line : split(unified, '\n')) {
    if (std::string kept = trim(line); !kept.empty()) lines.push_back(std::move(kept));
  }
  return join_words(lines, " ");
}

bool holds_word(std::string_view text, std::string_view word) {
  if (word.empty()) return false;
  const std::string all = lower_ascii(text), wanted = lower_ascii(word);
  for (std::size_t at = all.find(wanted); at != all.npos; at = all.find(wanted, at + 1)) {
    const std::size_t end = at + wanted.size();
    const bool begins = at == 0 || !is_word_byte(all, at) || !is_word_byte(all, at - 1);
    const bool ends = end == all.size() || !is_word_byte(all, end - 1) || !is_word_byte(all, end);
    if (begins && ends) return true;
  }
  return false;
}

std::size_t trigger_parts(std::string_view caption, std::string_view trigger) {
  const std::vector<std::string> parts = split(lower_ascii(caption), ',');
  const std::vector<std::string> wanted = split(lower_ascii(trigger), ',');
  if (trim(trigger).empty() || wanted.size() > parts.size()) return 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const bool last = i + 1 == wanted.size();
    const std::string part = trim(parts[i]), word = trim(wanted[i]);
    const bool begins = last && part.starts_with(word) && holds_word(part, word);
    if (part != word && !begins) return 0;
  }
  return wanted.size();
}

std::string apply_rules(const std::string& caption, const CaptionRules& rules) {
  std::string text = rules.clean ? cleaned(caption) : on_one_line(caption);
  if (!rules.trigger.empty() && !holds_word(text, rules.trigger)) {
    text = text.empty() ? rules.trigger : rules.trigger + ", " + text;
  }
  return rules.prefix + text + rules.suffix;
}

}  // namespace lora
