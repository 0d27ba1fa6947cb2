// SPDX-License-Identifier: Apache-2.0
// tokenizer.json of Hugging Face tokenizers. `truncation` and `padding` in it are settings of the
// call, not of the tokenizer, and are left to the data pipeline (as transformers does).
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "tokenizers/bpe.h"
#include "tokenizers/files.h"
#include "tokenizers/pipeline.h"

namespace lora {

using nlohmann::json;

namespace {

Merge read_merge(const json& entry, std::size_t number, const std::string& where) {
  const auto rank = static_cast<std::uint32_t>(number - 1);
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    return {entry[0].get<std::string>(), entry[1].get<std::string>(), rank};
  }
  if (entry.is_string()) {
    const std::string& text = entry.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && space > 0 && space + 1 < text.size() &&
        text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1), rank};
    }
  }
  fail(where, ": merge ", number, " is wrong (found ", entry.dump(),
       R"(, expected "a b" or ["a", "b"]); take the file from the original model)");
}

std::unique_ptr<TokenModel> read_model(const Section& model) {
  const std::string& where = model.where();
  // Files of the first versions have no "type".
  const std::string type = model.text("type", "BPE");
  if (type != "BPE") {
    fail(where, ": kind of model not supported (found '", type,
         "', expected BPE); use the SentencePiece tokenizer.model where the model has one");
  }
  const json* dropout = model.find("dropout");
  if (dropout != nullptr && *dropout != 0.0) {
    fail(where, ": BPE dropout is not supported (found ", dropout->dump(),
         ", expected null); set model.dropout to null");
  }
  Vocabulary vocabulary;
  const json* vocab = model.find("vocab");
  if (vocab == nullptr || !vocab->is_object() || vocab->empty()) {
    fail(where,
         ": there is no vocabulary (expected model.vocab with tokens and ids); take the file "
         "from the original model");
  }
  for (const auto& [token, id] : vocab->items()) {
    if (!id.is_number_integer()) {
      fail(where, ": token '", token, "' has no usable id (found ", id.dump(),
           ", expected a whole number); take the file from the original model");
    }
    vocabulary.add(token, id.get<std::int64_t>(), where);
  }
  std::vector<Merge> merges;
  for (const json& entry : model.list("merges")) {
    merges.push_back(read_merge(entry, merges.size() + 1, where));
  }
  BpeOptions options;
  options.unknown = model.text("unk_token", "");
  options.fuse_unknown = model.flag("fuse_unk", false);
  options.byte_fallback = model.flag("byte_fallback", false);
  options.ignore_merges = model.flag("ignore_merges", false);
  options.continuing_prefix = model.text("continuing_subword_prefix", "");
  options.word_suffix = model.text("end_of_word_suffix", "");
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options), where);
}

}  // namespace

PipelineParts read_tokenizer_json(const Path& file) {
  const json all = read_object(file);
  const std::string where = file.string();
  const auto section = [&](const char* name) { return all.value(name, json()); };
  if (!all.contains("model") || !all["model"].is_object()) {
    fail(where,
         ": there is no model section (expected version, model, ..); take the file from the "
         "original model");
  }
  PipelineParts parts;
  parts.files = {file};
  parts.model = read_model(Section(all["model"], where + ": model", kTakeOriginal));
  parts.normalizer = make_normalizer(section("normalizer"), where);
  parts.pre_tokenizer = make_pre_tokenizer(section("pre_tokenizer"), where);
  parts.post_processor = make_post_processor(section("post_processor"), where);
  parts.decoder = make_decoder(section("decoder"), where);
  for (const json& entry : section("added_tokens")) {
    const Section token(entry, where + ": added_tokens", kTakeOriginal);
    parts.added.push_back(read_added_token(token, token.whole("id")));
  }
  // Tokens that were added by a script after tokenizer.json was made.
  std::set<std::string> known;
  for (const AddedToken& token : parts.added) known.insert(token.text);
  for (AddedToken& token : added_tokens_of_config(file.parent_path())) {
    if (known.insert(token.text).second) parts.added.push_back(std::move(token));
  }
  parts.special.unk = parts.model->unknown();
  return parts;
}

}  // namespace lora
