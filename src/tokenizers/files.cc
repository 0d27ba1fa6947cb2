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
  return parse_json_object<json>(read_tokenizer_file(path), path.string(), kTakeOriginal);
}

json read_object_if_there(const Path& path) {
  return std::filesystem::exists(path) ? read_object(path) : json::object();
}

std::string special_text(const Section& file, const char* name) {
  const json* found = file.find(name);
  // false: an old spelling of "none".
  if (found == nullptr || *found == false) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && found->at("content").is_string()) {
    return found->at("content").get<std::string>();
  }
  file.wrong(name, *found, "a text or an object with 'content'");
}

AddedToken read_added_token(const Section& entry, std::int64_t id) {
  AddedToken token;
  token.id = id;
  token.text = entry.text("content");
  constexpr std::size_t kLongest = 1024;  // finding it takes as many steps at every character
  if (token.text.size() > kLongest) {
    fail(entry.where(), ": added token ", id, " is too long (found ", token.text.size(),
         " bytes, expected at most ", kLongest, "); ", kTakeOriginal);
  }
  if (token.text.empty()) {
    fail(entry.where(), ": added token ", id, " has no text; ", kTakeOriginal);
  }
  token.special = entry.flag("special", false);
  token.single_word = entry.flag("single_word", false);
  token.lstrip = entry.flag("lstrip", false);
  token.rstrip = entry.flag("rstrip", false);
  token.normalized = entry.flag("normalized", !token.special);
  return token;
}

std::vector<AddedToken> added_tokens_of_config(const Path& folder) {
  const Path path = folder / "tokenizer_config.json";
  const json config = read_object_if_there(path);
  const std::string where = path.string() + ": added_tokens_decoder";
  std::vector<AddedToken> tokens;
  const Section all(config, path.string(), kTakeOriginal);
  if (!all.has("added_tokens_decoder")) return tokens;
  for (const auto& [name, entry] : all.object("added_tokens_decoder").items()) {
    std::int64_t id = -1;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data(), end, id).ptr != end || id < 0) {
      fail(where, ": a key is wrong (found '", name, "', expected a token id); ", kTakeOriginal);
    }
    tokens.push_back(read_added_token(Section(entry, where, kTakeOriginal), id));
  }
  return tokens;
}

namespace {

std::string template_from_list(const Section& config) {
  const json& list = config.list("chat_template");
  std::optional<std::string> chosen;
  for (const json& entry : list) {
    const Section one(entry, config.where() + ": chat_template", kTakeOriginal);
    if (!one.has("template")) continue;
    if (!chosen || one.text("name", "") == "default") chosen = one.text("template");
  }
  if (!chosen) config.wrong("chat_template", list, "{name, template} in it");
  return *chosen;
}

}  // namespace

std::string read_chat_template(const Path& folder) {
  const Path jinja = folder / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) return read_file(jinja);
  const Path path = folder / "tokenizer_config.json";
  const json object = read_object_if_there(path);
  const Section config(object, path.string(), kTakeOriginal);
  const json* found = config.find("chat_template");
  if (found != nullptr && found->is_array()) return template_from_list(config);
  return config.text("chat_template", "");
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
