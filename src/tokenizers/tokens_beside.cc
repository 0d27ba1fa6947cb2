// SPDX-License-Identifier: Apache-2.0
// Added tokens of the folders without tokenizer.json.
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "tokenizers/files.h"
#include "tokenizers/pipeline.h"

namespace lora {

using nlohmann::json;

namespace {

constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                  "sep_token", "cls_token", "mask_token"};

// A token as tokenizer_config.json and special_tokens_map.json give it: its text, or an object
// with flags.
AddedToken from_value(const json& value, const std::string& where) {
  AddedToken token;
  if (value.is_object()) {
    token = read_added_token(Section(value, where, kTakeOriginal), -1);
  } else if (value.is_string()) {
    token.text = value.get<std::string>();
  }
  token.special = true;
  return token;
}

std::vector<AddedToken> special_tokens_in(const Path& file) {
  const json object = read_object_if_there(file);
  std::vector<AddedToken> tokens;
  for (const char* role : kRoles) {
    if (object.contains(role)) tokens.push_back(from_value(object[role], file.string()));
  }
  const Section settings(object, file.string(), kTakeOriginal);
  if (!settings.has("additional_special_tokens")) return tokens;
  for (const json& value : settings.list("additional_special_tokens")) {
    tokens.push_back(from_value(value, file.string()));
  }
  return tokens;
}

class Collector {
 public:
  explicit Collector(PipelineParts& parts) : parts_(parts) {
    for (std::size_t i = 0; i < parts.added.size(); ++i) places_.emplace(parts.added[i].text, i);
  }

  const AddedToken* find(const std::string& text) const {
    const auto found = places_.find(text);
    return found == places_.end() ? nullptr : &parts_.added[found->second];
  }

  void add(const AddedToken& token) {
    if (token.text.empty()) return;
    if (places_.emplace(token.text, parts_.added.size()).second) parts_.added.push_back(token);
  }

  // A token known by its text alone: its id is the vocabulary's. What is in no vocabulary (often a
  // padding token that the model has no row for) cannot occur in a text.
  void add_by_text(AddedToken token) {
    const auto id = parts_.model->vocabulary().find(token.text);
    if (!id) return;
    token.id = *id;
    add(token);
  }

 private:
  PipelineParts& parts_;
  TextMap<std::size_t> places_;  // in parts_.added
};

}  // namespace

void add_tokens_beside(PipelineParts& parts, const Path& folder) {
  Collector all(parts);
  for (const AddedToken& token : added_tokens_of_config(folder)) all.add(token);
  std::vector<AddedToken> special = special_tokens_in(folder / "tokenizer_config.json");
  for (AddedToken& token : special_tokens_in(folder / "special_tokens_map.json")) {
    special.push_back(std::move(token));
  }
  const Path file = folder / "added_tokens.json";
  if (std::filesystem::exists(file)) parts.files.push_back(file);
  const json listed = read_object_if_there(file);
  const Section ids(listed, file.string(), kTakeOriginal);
  std::set<std::string> special_texts;
  for (const AddedToken& one : special) special_texts.insert(one.text);
  for (const auto& [text, id] : listed.items()) {
    AddedToken token;
    token.text = text;
    token.id = ids.whole(text);
    token.special = special_texts.contains(text);
    if (const AddedToken* known = all.find(text); known != nullptr && known->id != token.id) {
      fail(file.string(), ": added token '", text, "' has two ids (found ", token.id, ", expected ",
           known->id, " as in tokenizer_config.json); take the files from one model");
    }
    all.add(token);
  }
  for (const AddedToken& token : special) all.add_by_text(token);
  for (const std::string& text :
       {parts.special.bos, parts.special.eos, parts.special.pad, parts.special.unk}) {
    AddedToken token;
    token.text = text;
    token.special = true;
    all.add_by_text(token);
  }
}

}  // namespace lora
