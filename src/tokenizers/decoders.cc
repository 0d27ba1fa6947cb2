// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "base/utf8.h"
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
Decoder make_byte_level(const Section&) {
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
  if (!first_invalid_utf8(bytes)) {
    out.push_back(bytes);
  } else {
    out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
  }
  bytes.clear();
}

Decoder make_byte_fallback(const Section&) {
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

Decoder make_fuse(const Section&) {
  return [](const Tokens& tokens) { return Tokens{joined(tokens)}; };
}

Decoder make_replace(const Section& section) {
  return [pattern = pattern_field(section), content = section.text("content")](Tokens tokens) {
    for (std::string& token : tokens) token = pattern.replaced(token, content);
    return tokens;
  };
}

Decoder make_strip(const Section& section) {
  const std::string content = section.text("content");
  const std::int64_t start = section.whole("start");
  const std::int64_t stop = section.whole("stop");
  if (content.empty()) section.wrong("content", content, "a text that is not empty");
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

Decoder make_metaspace(const Section& section) {
  const std::string mark = section.text("replacement", "\xE2\x96\x81");
  const bool old_prefix = section.flag("add_prefix_space", true);
  const std::string scheme = section.text("prepend_scheme", old_prefix ? "always" : "never");
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

Decoder make_word_piece(const Section& section) {
  const std::string prefix = section.text("prefix", "##");
  const bool clean = section.flag("cleanup", true);
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

Decoder make_bpe(const Section& section) {
  return [suffix = section.text("suffix", "</w>")](Tokens tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
    }
    return tokens;
  };
}

Decoder make_sequence(const Section& section) {
  std::vector<Decoder> parts;
  for (const json& part : section.list("decoders")) {
    parts.push_back(make_decoder(part, section.where()));
  }
  return [parts](Tokens tokens) {
    for (const Decoder& part : parts) tokens = part(std::move(tokens));
    return tokens;
  };
}

struct Row {
  std::string_view name, help;
  Decoder (*make)(const Section&);
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
  return make_step(std::span<const Row>(kDecoders), section, where + ": decoder");
}

}  // namespace lora
