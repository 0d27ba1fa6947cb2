// SPDX-License-Identifier: Apache-2.0
// The steps around the model, as the sections of tokenizer.json describe them: normalizer,
// pre_tokenizer, post_processor, decoder. Semantics of Hugging Face tokenizers 0.23; what a file
// names and the tables in steps' sources do not know is an Error that lists what is known.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/table.h"
#include "tokenizers/section.h"

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

class Pattern;
// `pattern` of the section: {"String": ".."} or {"Regex": ".."}.
Pattern pattern_field(const Section& section);

// The step that `section` names by its "type": what make() of that row of `table` returns.
template <typename Row>
auto make_step(std::span<const Row> table, const nlohmann::json& section,
               const std::string& place) {
  const std::string type = Section(section, place, kTakeOriginal).text("type");
  return row_of(table, place, type).make(Section(section, place + " " + type, kTakeOriginal));
}

}  // namespace lora
