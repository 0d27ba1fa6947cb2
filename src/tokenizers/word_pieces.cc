// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/word_pieces.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "tokenizers/files.h"

namespace lora {
namespace {

std::vector<std::string> from_json(const Path& path) {
  const nlohmann::json json = read_object(path);
  const Section all(json, path.string(), kTakeOriginal);
  const Section model = all.inside("model");
  if (model.text("type", "") != "WordPiece") {
    fail(path.string(), ": not a WordPiece tokenizer; a BLIP folder has one");
  }
  std::vector<std::string> tokens;
  const auto put = [&](const std::string& token, std::int64_t id) {
    if (id < 0 || id > 10'000'000) {
      fail(path.string(), ": token id ", id, " is out of range; damaged file?");
    }
    const auto place = static_cast<std::size_t>(id);
    if (tokens.size() <= place) tokens.resize(place + 1);
    tokens[place] = token;
  };
  const Section vocabulary = model.inside("vocab");
  for (const auto& [token, id] : vocabulary.json().items()) put(token, vocabulary.whole(token));
  if (!all.has("added_tokens")) return tokens;
  for (const nlohmann::json& entry : all.list("added_tokens")) {
    const Section added(entry, path.string() + ": added_tokens", kTakeOriginal);
    put(added.text("content"), added.whole("id"));
  }
  return tokens;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
  }
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kJoined = {
    {{" .", "."},
     {" ?", "?"},
     {" !", "!"},
     {" ,", ","},
     {" ' ", "'"},
     {" n't", "n't"},
     {" 'm", "'m"},
     {" 's", "'s"},
     {" 've", "'ve"},
     {" 're", "'re"}}};

}  // namespace

WordPieces WordPieces::load(const Path& folder) {
  WordPieces words;
  if (std::filesystem::exists(folder / "vocab.txt")) {
    for (const std::string& line : split(read_file(folder / "vocab.txt"), '\n')) {
      words.tokens_.push_back(trim(line));
    }
  } else if (std::filesystem::exists(folder / "tokenizer.json")) {
    words.tokens_ = from_json(folder / "tokenizer.json");
  } else {
    fail(folder.string(), ": no vocabulary (looked for vocab.txt and tokenizer.json)");
  }
  return words;
}

std::string WordPieces::text(const std::vector<std::int64_t>& ids) const {
  std::string out;
  for (std::int64_t id : ids) {
    const auto place = static_cast<std::size_t>(id);
    if (place >= tokens_.size()) continue;
    const std::string& token = tokens_[place];
    if (token.starts_with('[') && token.ends_with(']')) continue;
    if (token.starts_with("##")) {
      out += token.substr(2);
    } else {
      out += (out.empty() ? "" : " ") + token;
    }
  }
  for (const auto& [from, to] : kJoined) replace_all(out, from, to);
  return trim(out);
}

}  // namespace lora
