// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/files.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lora {

using nlohmann::json;

std::string read_tokenizer_file(const Path& path) {
  std::string content = read_file(path);
  if (content.empty()) fail(path.string(), ": the file is empty; take it from the original model");
  if (content.starts_with("version https://git-lfs")) {
    fail(path.string(), ": this is a Git LFS pointer, not the file itself (found ", content.size(),
         " bytes); fetch the file with 'git lfs pull'");
  }
  return content;
}

json read_object(const Path& path) {
  const std::string content = read_tokenizer_file(path);
  json object;
  try {
    object = json::parse(content);
  } catch (const json::parse_error& error) {
    fail(path.string(), ": this is not valid JSON (found an error at byte ", error.byte, " of ",
         content.size(), "); take the file from the original model");
  }
  if (!object.is_object()) {
    fail(path.string(), ": this is not a JSON object (found ", object.type_name(),
         "); take the file from the original model");
  }
  return object;
}

json read_object_if_there(const Path& path) {
  return std::filesystem::exists(path) ? read_object(path) : json::object();
}

std::string special_text(const json& object, const char* name, const Path& path) {
  const auto found = object.find(name);
  // false: an old spelling of "none".
  if (found == object.end() || found->is_null() || *found == false) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && found->at("content").is_string()) {
    return found->at("content").get<std::string>();
  }
  fail(path.string(), ": field '", name, "' is wrong (found ", found->dump(),
       ", expected a text or an object with 'content'); take the file from the original model");
}

AddedToken read_added_token(const json& entry, std::int64_t id, const std::string& where) {
  AddedToken token;
  token.id = id;
  token.text = text_field(entry, "content", where);
  if (token.text.empty()) {
    fail(where, ": added token ", id, " has no text; take the file from the original model");
  }
  token.special = flag_field(entry, "special", where, false);
  token.single_word = flag_field(entry, "single_word", where, false);
  token.lstrip = flag_field(entry, "lstrip", where, false);
  token.rstrip = flag_field(entry, "rstrip", where, false);
  token.normalized = flag_field(entry, "normalized", where, !token.special);
  return token;
}

std::vector<AddedToken> added_tokens_of_config(const Path& folder) {
  const Path path = folder / "tokenizer_config.json";
  const json config = read_object_if_there(path);
  const std::string where = path.string() + ": added_tokens_decoder";
  std::vector<AddedToken> tokens;
  const json table = config.value("added_tokens_decoder", json::object());
  for (const auto& [name, entry] : table.items()) {
    std::int64_t id = -1;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data(), end, id).ptr != end || id < 0) {
      fail(where, ": a key is wrong (found '", name,
           "', expected a token id); take the file from the original model");
    }
    tokens.push_back(read_added_token(entry, id, where));
  }
  return tokens;
}

namespace {

std::string template_from_list(const json& list, const Path& path) {
  const json* chosen = nullptr;
  for (const json& entry : list) {
    if (!entry.is_object() || !entry.contains("template")) continue;
    if (chosen == nullptr || entry.value("name", "") == "default") chosen = &entry;
  }
  if (chosen == nullptr) {
    fail(path.string(),
         ": field 'chat_template' is wrong (found a list without templates, expected"
         " {name, template} in it); take the file from the original model");
  }
  return text_field(*chosen, "template", path.string() + ": chat_template");
}

}  // namespace

std::string read_chat_template(const Path& folder) {
  const Path jinja = folder / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) return read_file(jinja);
  const Path path = folder / "tokenizer_config.json";
  const json config = read_object_if_there(path);
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return "";
  if (found->is_array()) return template_from_list(*found, path);
  return text_field(config, "chat_template", path.string());
}

std::string fingerprint_of(const std::vector<Path>& files) {
  if (files.size() == 1) return sha256_file(files.front());
  Sha256 all;
  for (const Path& file : files) {
    all.update(file.filename().string() + " " + sha256_file(file) + "\n");
  }
  return all.hex();
}

}  // namespace lora
