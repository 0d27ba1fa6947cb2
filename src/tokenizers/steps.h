// SPDX-License-Identifier: Apache-2.0
// The steps around the model, as the sections of tokenizer.json describe them: normalizer,
// pre_tokenizer, post_processor, decoder. Semantics of Hugging Face tokenizers 0.23; what a file
// names and the tables in steps' sources do not know is an Error that lists what is known.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// All texts are valid UTF-8. An empty function means: no such step.
using Normalizer = std::function<std::string(std::string)>;

// The pieces of a text; `at_start`: the first piece starts where the whole input starts.
struct Pieces {
  std::vector<std::string> texts;
  bool at_start = true;
};
using PreTokenizer = std::function<void(Pieces&)>;

using Decoder = std::function<std::vector<std::string>(std::vector<std::string>)>;

// What encoding with special tokens puts around a single sequence.
struct PostProcessor {
  std::vector<std::int64_t> before, after;
};

// `section` is the value in tokenizer.json (null: no step), `where` the file, for messages.
Normalizer make_normalizer(const nlohmann::json& section, const std::string& where);
PreTokenizer make_pre_tokenizer(const nlohmann::json& section, const std::string& where);
PostProcessor make_post_processor(const nlohmann::json& section, const std::string& where);
Decoder make_decoder(const nlohmann::json& section, const std::string& where);

// The bytes of `text`, each as the printable character that byte-level vocabularies use for it
// (GPT-2: printable Latin-1 stands for itself, the others for U+0100 and up), and back. from_
// returns false where a character stands for no byte.
std::string to_byte_characters(std::string_view text);
bool from_byte_characters(std::string_view text, std::string& bytes);

// Fields of a section; Error with `where` for an absent one or one of another type.
std::string text_field(const nlohmann::json& section, const char* name, const std::string& where);
std::string text_field(const nlohmann::json& section, const char* name, const std::string& where,
                       const std::string& otherwise);
bool flag_field(const nlohmann::json& section, const char* name, const std::string& where,
                bool otherwise);
std::int64_t number_field(const nlohmann::json& section, const char* name,
                          const std::string& where);
const nlohmann::json& list_field(const nlohmann::json& section, const char* name,
                                 const std::string& where);

class Pattern;
// {"String": ".."} or {"Regex": ".."}
Pattern pattern_field(const nlohmann::json& section, const std::string& where);

}  // namespace lora
