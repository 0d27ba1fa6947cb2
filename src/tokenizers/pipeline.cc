// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/pipeline.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizers/files.h"

namespace lora {

using nlohmann::json;

Pipeline::Pipeline(PipelineParts parts, const Path& folder) : parts_(std::move(parts)) {
  take_added(parts_.files.front().string());
  take_special_texts(folder);
  take_special_ids(folder);
  if (parts_.template_from_config) take_template();
  for (const std::int64_t id : parts_.post_processor.before) token_of(id);
  for (const std::int64_t id : parts_.post_processor.after) token_of(id);
  chat_template_ = read_chat_template(folder);
  fingerprint_ = fingerprint_of(parts_.files);
}

Pipeline::~Pipeline() = default;

void Pipeline::take_added(const std::string& where) {
  const Vocabulary& known = parts_.model->vocabulary();
  for (const AddedToken& token : parts_.added) {
    const auto id = known.find(token.text);
    const std::string* text = known.token(token.id);
    if (id && *id != token.id) {
      fail(where, ": added token '", token.text, "' contradicts the vocabulary (found id ",
           token.id, ", expected ", *id, "); take the files from one model");
    }
    if (text != nullptr && *text != token.text) {
      fail(where, ": the id of added token '", token.text, "' is taken (found id ", token.id,
           ", which is '", *text, "'); take the files from one model");
    }
    added_ids_.add(token.text, token.id, where + ": added tokens");
  }
  added_ = AddedTokens(parts_.added, parts_.normalizer);
}

// The texts, and the ids that belong to them.
void Pipeline::take_special_texts(const Path& folder) {
  const Path config_path = folder / "tokenizer_config.json";
  const Path map_path = folder / "special_tokens_map.json";
  const json config_json = read_object_if_there(config_path);
  const json map_json = read_object_if_there(map_path);
  const Section config(config_json, config_path.string(), kTakeOriginal);
  const Section map(map_json, map_path.string(), kTakeOriginal);
  const auto text = [&](const char* name, const std::string& otherwise) {
    for (const Section* file : {&config, &map}) {
      std::string found = special_text(*file, name);
      if (!found.empty()) return found;
    }
    return otherwise;
  };
  bos_token_ = text("bos_token", parts_.special.bos);
  eos_token_ = text("eos_token", parts_.special.eos);
  special_.bos = id_of(bos_token_);
  special_.eos = id_of(eos_token_);
  special_.pad = id_of(text("pad_token", parts_.special.pad));
  special_.unk = id_of(text("unk_token", parts_.special.unk));
  for (const auto& [name, token, id] : {std::tuple("bos_token", &bos_token_, special_.bos),
                                        std::tuple("eos_token", &eos_token_, special_.eos)}) {
    if (token->empty() || id) continue;
    fail(config_path.string(), ": ", name, " is not in the vocabulary (found '", *token,
         "'); take the files from one model");
  }
  if (config.has("add_bos_token")) add_bos_ = config.flag("add_bos_token");
  if (config.has("add_eos_token")) add_eos_ = config.flag("add_eos_token");
}

// Where the texts are not stated, the ids of the model's own configuration count.
void Pipeline::take_special_ids(const Path& folder) {
  std::vector<json> sources;
  for (const char* name : {"generation_config.json", "config.json"}) {
    sources.push_back(read_object_if_there(folder / name));
  }
  const auto ids = [&](const char* name) {
    std::vector<std::int64_t> found;
    for (const json& source : sources) {
      if (!found.empty() || !source.contains(name)) continue;
      const json& value = source[name];
      for (const json& one : value.is_array() ? value : json::array({value})) {
        if (one.is_number_integer()) found.push_back(one.get<std::int64_t>());
      }
    }
    std::erase_if(found, [&](std::int64_t id) { return find_token(id) == nullptr; });
    return found;
  };
  const auto take = [&](const char* name, std::optional<std::int64_t>& id, std::string* text) {
    const std::vector<std::int64_t> found = ids(name);
    if (id || found.empty()) return;
    id = found.front();
    if (text != nullptr) *text = *find_token(*id);
  };
  take("bos_token_id", special_.bos, &bos_token_);
  take("eos_token_id", special_.eos, &eos_token_);
  take("pad_token_id", special_.pad, nullptr);
  stop_ids_ = ids("eos_token_id");
  if (special_.eos &&
      std::find(stop_ids_.begin(), stop_ids_.end(), *special_.eos) == stop_ids_.end()) {
    stop_ids_.insert(stop_ids_.begin(), *special_.eos);
  }
}

void Pipeline::take_template() {
  if (add_bos_.value_or(parts_.add_bos) && special_.bos) {
    parts_.post_processor.before = {*special_.bos};
  }
  if (add_eos_.value_or(parts_.add_eos) && special_.eos) {
    parts_.post_processor.after = {*special_.eos};
  }
}

std::vector<std::int64_t> Pipeline::encode(std::string_view text,
                                           const EncodeOptions& options) const {
  if (const auto invalid = first_invalid_utf8(text)) {
    fail("text to tokenize: not valid UTF-8 (found byte ",
         static_cast<int>(static_cast<unsigned char>(text[*invalid])), " at position ", *invalid,
         "); convert the data to UTF-8");
  }
  std::unique_ptr<WordCache> cache;
  {
    const std::lock_guard lock(mutex_);
    if (!caches_.empty()) {
      cache = std::move(caches_.back());
      caches_.pop_back();
    }
  }
  if (cache == nullptr) cache = std::make_unique<WordCache>();
  std::vector<std::int64_t> ids;
  const PostProcessor& post = parts_.post_processor;
  if (options.add_special) ids = post.before;
  for (const AddedTokens::Part& part : added_.split(text, false, options.parse_special)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    const bool at_start = part.text.data() == text.data();
    const std::string normalized =
        parts_.normalizer ? parts_.normalizer(std::string(part.text)) : std::string();
    const std::string_view form = parts_.normalizer ? normalized : part.text;
    for (const AddedTokens::Part& inner : added_.split(form, true, options.parse_special)) {
      if (inner.id >= 0) {
        ids.push_back(inner.id);
      } else {
        encode_text(inner.text, at_start && inner.text.data() == form.data(), *cache, ids);
      }
    }
  }
  if (options.add_special) ids.insert(ids.end(), post.after.begin(), post.after.end());
  const std::lock_guard lock(mutex_);
  caches_.push_back(std::move(cache));
  return ids;
}

void Pipeline::encode_text(std::string_view text, bool at_start, WordCache& cache,
                           std::vector<std::int64_t>& out) const {
  if (!parts_.pre_tokenizer) {
    parts_.model->encode(text, cache, out);
    return;
  }
  Pieces pieces{{std::string(text)}, at_start};
  parts_.pre_tokenizer(pieces);
  for (const std::string& piece : pieces.texts) parts_.model->encode(piece, cache, out);
}

std::string Pipeline::decode(std::span<const std::int64_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int64_t id : ids) {
    // Models often have more rows than their tokenizer has tokens: such ids have no text.
    const std::string* token = find_token(id);
    if (token == nullptr || (skip_special && is_special(id))) continue;
    tokens.push_back(*token);
  }
  if (parts_.decoder) {
    tokens = parts_.decoder(std::move(tokens));
    return std::accumulate(tokens.begin(), tokens.end(), std::string());
  }
  std::string text;
  for (const std::string& token : tokens) text += text.empty() ? token : " " + token;
  return text;
}

std::int64_t Pipeline::vocabulary() const {
  return std::max(parts_.model->vocabulary().size(), added_ids_.size());
}

std::optional<std::int64_t> Pipeline::id_of(std::string_view token) const {
  const auto added = added_ids_.find(token);
  return added ? added : parts_.model->vocabulary().find(token);
}

const std::string* Pipeline::find_token(std::int64_t id) const {
  const std::string* added = added_ids_.token(id);
  return added != nullptr ? added : parts_.model->vocabulary().token(id);
}

std::string Pipeline::token_of(std::int64_t id) const {
  if (const std::string* token = find_token(id)) return *token;
  fail(parts_.files.front().string(), ": there is no token with this id (found ", id,
       ", expected 0..", vocabulary() - 1, "); the tokenizer and the model must belong together");
}

}  // namespace lora
