// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "base/table.h"
#include "tokenizers/pattern.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace lora {

using nlohmann::json;

namespace {

using Tokens = std::vector<std::string>;

std::string joined(const Tokens& tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), std::string());
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (!from.empty()) text = Pattern::literal(from).replaced(text, to);
}

// A token with a character that stands for no byte (an added token) counts with its own bytes.
Decoder make_byte_level(const json&, const std::string&) {
  return [](const Tokens& tokens) {
    std::string all, bytes;
    for (const std::string& token : tokens)
      all += from_byte_characters(token, bytes) ? bytes : token;
    return Tokens{unicode::lossy(all)};
  };
}

std::optional<char> byte_of(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

// A run of byte tokens that is no valid UTF-8 gives one U+FFFD a byte.
void flush_bytes(std::string& bytes, Tokens& out) {
  if (bytes.empty()) return;
  if (unicode::find_invalid(bytes) == std::string_view::npos) {
    out.push_back(bytes);
  } else {
    out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
  }
  bytes.clear();
}

Decoder make_byte_fallback(const json&, const std::string&) {
  return [](Tokens tokens) {
    Tokens out;
    std::string bytes;
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes += *byte;
        continue;
      }
      flush_bytes(bytes, out);
      out.push_back(std::move(token));
    }
    flush_bytes(bytes, out);
    return out;
  };
}

Decoder make_fuse(const json&, const std::string&) {
  return [](const Tokens& tokens) { return Tokens{joined(tokens)}; };
}

Decoder make_replace(const json& section, const std::string& where) {
  return [pattern = pattern_field(section, where),
          content = text_field(section, "content", where)](Tokens tokens) {
    for (std::string& token : tokens) token = pattern.replaced(token, content);
    return tokens;
  };
}

Decoder make_strip(const json& section, const std::string& where) {
  const std::string content = text_field(section, "content", where);
  const std::int64_t start = number_field(section, "start", where);
  const std::int64_t stop = number_field(section, "stop", where);
  if (content.empty())
    fail(where, ": field 'content' is empty; take the file from the original model");
  return [content, start, stop](Tokens tokens) {
    for (std::string& token : tokens) {
      for (std::int64_t i = 0; i < start && token.starts_with(content); ++i) {
        token.erase(0, content.size());
      }
      for (std::int64_t i = 0; i < stop && token.ends_with(content); ++i) {
        token.erase(token.size() - content.size());
      }
    }
    return tokens;
  };
}

Decoder make_metaspace(const json& section, const std::string& where) {
  const std::string mark = text_field(section, "replacement", where, "\xE2\x96\x81");
  const bool old_prefix = flag_field(section, "add_prefix_space", where, true);
  const std::string scheme =
      text_field(section, "prepend_scheme", where, old_prefix ? "always" : "never");
  return [mark, prefixed = scheme != "never"](Tokens tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], mark, i == 0 && prefixed ? "" : " ");
    }
    return tokens;
  };
}

// The blanks that English text does not have in front of punctuation and contractions.
void clean_up(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kPairs) replace_all(text, from, to);
}

Decoder make_word_piece(const json& section, const std::string& where) {
  const std::string prefix = text_field(section, "prefix", where, "##");
  const bool clean = flag_field(section, "cleanup", where, true);
  return [prefix, clean](Tokens tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i].starts_with(prefix)) {
        tokens[i].erase(0, prefix.size());
      } else if (i > 0) {
        tokens[i].insert(0, " ");
      }
      if (clean) clean_up(tokens[i]);
    }
    return tokens;
  };
}

Decoder make_bpe(const json& section, const std::string& where) {
  return [suffix = text_field(section, "suffix", where, "</w>")](Tokens tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
    }
    return tokens;
  };
}

Decoder make_sequence(const json& section, const std::string& where) {
  std::vector<Decoder> parts;
  for (const json& part : list_field(section, "decoders", where)) {
    parts.push_back(make_decoder(part, where));
  }
  return [parts](Tokens tokens) {
    for (const Decoder& part : parts) tokens = part(std::move(tokens));
    return tokens;
  };
}

struct Row {
  std::string_view name, help;
  Decoder (*make)(const json&, const std::string&);
};

constexpr Row kDecoders[] = {
    {"ByteLevel", "printable characters back to bytes", make_byte_level},
    {"ByteFallback", "<0xNN> back to bytes", make_byte_fallback},
    {"Fuse", "all tokens as one text", make_fuse},
    {"Replace", "a text or pattern by a text", make_replace},
    {"Strip", "a character off the ends", make_strip},
    {"Metaspace", "the visible mark back to a space", make_metaspace},
    {"WordPiece", "continuation prefixes off", make_word_piece},
    {"BPEDecoder", "word suffixes to spaces", make_bpe},
    {"Sequence", "one after the other", make_sequence},
};

}  // namespace

Decoder make_decoder(const json& section, const std::string& where) {
  if (section.is_null()) return {};
  const std::string place = where + ": decoder";
  const std::string type = text_field(section, "type", place);
  return row_of(std::span<const Row>(kDecoders), place, type).make(section, place + " " + type);
}

}  // namespace lora
