// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "tokenizers/steps.h"

namespace lora {

using nlohmann::json;

namespace {

// Byte-level post-processing only moves offsets, which nobody here asks for.
PostProcessor make_byte_level(const Section&) { return {}; }

std::vector<std::int64_t> special_ids(const Section& section, const std::string& name) {
  const json* known = section.find("special_tokens");
  if (known == nullptr || !known->is_object() || !known->contains(name)) {
    fail(section.where(), ": the template names '", name,
         "', which special_tokens does not define; take the file from the original model");
  }
  return section.inside("special_tokens").inside(name).wholes("ids");
}

PostProcessor make_template(const Section& section) {
  PostProcessor made;
  int sequences = 0;
  for (const json& part : section.list("single")) {
    if (part.contains("Sequence")) {
      ++sequences;
      continue;
    }
    if (!part.contains("SpecialToken")) {
      section.wrong("single", part, "Sequence or SpecialToken");
    }
    auto& side = sequences == 0 ? made.before : made.after;
    const Section token(part["SpecialToken"], section.where(), kTakeOriginal);
    for (const std::int64_t id : special_ids(section, token.text("id"))) side.push_back(id);
  }
  if (sequences != 1) {
    fail(section.where(), ": the template 'single' needs one sequence (found ", sequences,
         ", expected 1); take the file from the original model");
  }
  return made;
}

std::int64_t pair_id(const Section& section, const char* name) {
  const json& pair = section.list(name);
  if (pair.size() != 2 || !pair[1].is_number_integer()) {
    section.wrong(name, pair, "[token, id]");
  }
  return pair[1].get<std::int64_t>();
}

PostProcessor make_bert(const Section& section) {
  return {{pair_id(section, "cls")}, {pair_id(section, "sep")}};
}

PostProcessor make_sequence(const Section& section) {
  PostProcessor made;
  for (const json& part : section.list("processors")) {
    const PostProcessor one = make_post_processor(part, section.where());
    made.before.insert(made.before.begin(), one.before.begin(), one.before.end());
    made.after.insert(made.after.end(), one.after.begin(), one.after.end());
  }
  return made;
}

struct Row {
  std::string_view name, help;
  PostProcessor (*make)(const Section&);
};

constexpr Row kPostProcessors[] = {
    {"TemplateProcessing", "special tokens around the text", make_template},
    {"ByteLevel", "offsets only", make_byte_level},
    {"BertProcessing", "cls in front, sep behind", make_bert},
    {"RobertaProcessing", "cls in front, sep behind", make_bert},
    {"Sequence", "one after the other", make_sequence},
};

}  // namespace

PostProcessor make_post_processor(const json& section, const std::string& where) {
  if (section.is_null()) return {};
  return make_step(std::span<const Row>(kPostProcessors), section, where + ": post_processor");
}

}  // namespace lora
