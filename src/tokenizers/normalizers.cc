// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "tokenizers/pattern.h"
#include "base/utf8.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace lora {

using nlohmann::json;

namespace {

template <unicode::Form form>
Normalizer make_form(const Section&) {
  return [](const std::string& text) { return unicode::normalized(text, form); };
}

Normalizer make_lower(const Section&) {
  return [](const std::string& text) { return unicode::lower(text); };
}

Normalizer make_strip_accents(const Section&) {
  return [](const std::string& text) { return unicode::without_marks(text); };
}

Normalizer make_byte_level(const Section&) {
  return [](const std::string& text) { return to_byte_characters(text); };
}

Normalizer make_prepend(const Section& section) {
  return [prefix = section.text("prepend")](const std::string& text) {
    return text.empty() ? text : prefix + text;
  };
}

Normalizer make_replace(const Section& section) {
  return [pattern = pattern_field(section), content = section.text("content")](
             const std::string& text) { return pattern.replaced(text, content); };
}

Normalizer make_strip(const Section& section) {
  const bool left = section.flag("strip_left", true);
  const bool right = section.flag("strip_right", true);
  return [left, right](const std::string& text) {
    std::size_t start = 0, end = text.size();
    for (std::size_t at = 0; left && at < end && unicode::is_white(next_code_point(text, at));) {
      start = at;
    }
    for (std::size_t at = end;
         right && at > start && unicode::is_white(unicode::previous(text, at));) {
      end = at;
    }
    return text.substr(start, end - start);
  };
}

Normalizer make_sequence(const Section& section) {
  std::vector<Normalizer> parts;
  for (const json& part : section.list("normalizers")) {
    parts.push_back(make_normalizer(part, section.where()));
  }
  return [parts](std::string text) {
    for (const Normalizer& part : parts) text = part(std::move(text));
    return text;
  };
}

struct Row {
  std::string_view name, help;
  Normalizer (*make)(const Section&);
};

constexpr Row kNormalizers[] = {
    {"NFC", "canonical composition", make_form<unicode::Form::nfc>},
    {"NFD", "canonical decomposition", make_form<unicode::Form::nfd>},
    {"NFKC", "compatibility composition", make_form<unicode::Form::nfkc>},
    {"NFKD", "compatibility decomposition", make_form<unicode::Form::nfkd>},
    {"Lowercase", "every character in lower case", make_lower},
    {"Strip", "no white space at the ends", make_strip},
    {"StripAccents", "no non-spacing marks", make_strip_accents},
    {"Prepend", "a prefix unless empty", make_prepend},
    {"Replace", "a text or pattern by a text", make_replace},
    {"ByteLevel", "bytes as printable characters", make_byte_level},
    {"Sequence", "one after the other", make_sequence},
};

}  // namespace

Normalizer make_normalizer(const json& section, const std::string& where) {
  if (section.is_null()) return {};
  return make_step(std::span<const Row>(kNormalizers), section, where + ": normalizer");
}

}  // namespace lora
