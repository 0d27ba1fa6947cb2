// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/tokenizer.h"

#include "base/error.h"
#include "tokenizers/files.h"
#include "tokenizers/pipeline.h"

namespace lora {

namespace {

PipelineParts read_model_file(const Path& file) {
  return looks_like_ranks(read_tokenizer_file(file)) ? read_ranks(file) : read_sentencepiece(file);
}

PipelineParts read_folder(const Path& folder) {
  const auto there = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (there("tokenizer.json")) return read_tokenizer_json(folder / "tokenizer.json");
  if (there("tokenizer.model")) return read_model_file(folder / "tokenizer.model");
  if (there("vocab.json") || there("merges.txt")) return read_vocabulary_files(folder);
  fail(folder.string(),
       ": there is no tokenizer (expected tokenizer.json, tokenizer.model or "
       "vocab.json with merges.txt); copy the tokenizer files of the model into this folder");
}

PipelineParts read_file_of_kind(const Path& file) {
  const std::string name = file.filename().string();
  if (name == "vocab.json" || name == "merges.txt")
    return read_vocabulary_files(file.parent_path());
  if (file.extension() == ".json") return read_tokenizer_json(file);
  return read_model_file(file);
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const Path& path) {
  if (!std::filesystem::exists(path)) {
    fail(path.string(), ": no such file or folder (expected a tokenizer); check the path");
  }
  if (std::filesystem::is_directory(path)) {
    return std::make_shared<Pipeline>(read_folder(path), path);
  }
  return std::make_shared<Pipeline>(read_file_of_kind(path), path.parent_path());
}

}  // namespace lora
