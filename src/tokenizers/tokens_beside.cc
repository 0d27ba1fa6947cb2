// SPDX-License-Identifier: Apache-2.0
// Added tokens of the folders without tokenizer.json.
#include <algorithm>
#include <nlohmann/json.hpp>

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
  explicit Collector(PipelineParts& parts) : parts_(parts) {}

  const AddedToken* find(const std::string& text) const {
    const auto same = [&](const AddedToken& token) { return token.text == text; };
    const auto found = std::find_if(parts_.added.begin(), parts_.added.end(), same);
    return found == parts_.added.end() ? nullptr : &*found;
  }

  void add(const AddedToken& token) {
    if (!token.text.empty() && find(token.text) == nullptr) parts_.added.push_back(token);
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
  for (const auto& [text, id] : listed.items()) {
    AddedToken token;
    token.text = text;
    token.id = ids.whole(text);
    for (const AddedToken& one : special) token.special = token.special || one.text == text;
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
