// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "tokenizers/steps.h"

namespace lora {

using nlohmann::json;

namespace {

// Byte-level post-processing only moves offsets, which nobody here asks for.
PostProcessor make_byte_level(const json&, const std::string&) { return {}; }

std::vector<std::int64_t> special_ids(const json& section, const std::string& name,
                                      const std::string& where) {
  const json known = section.value("special_tokens", json::object());
  if (!known.is_object() || !known.contains(name)) {
    fail(where, ": the template names '", name,
         "', which special_tokens does not define; take the file from the original model");
  }
  std::vector<std::int64_t> ids;
  for (const json& id : list_field(known[name], "ids", where)) {
    if (!id.is_number_integer()) {
      fail(where, ": special_tokens '", name, "' is wrong (found ", id.dump(),
           ", expected ids); take the file from the original model");
    }
    ids.push_back(id.get<std::int64_t>());
  }
  return ids;
}

PostProcessor make_template(const json& section, const std::string& where) {
  PostProcessor made;
  int sequences = 0;
  for (const json& part : list_field(section, "single", where)) {
    if (part.contains("Sequence")) {
      ++sequences;
      continue;
    }
    if (!part.contains("SpecialToken")) {
      fail(where, ": part of the template is wrong (found ", part.dump(),
           ", expected Sequence or SpecialToken); take the file from the original model");
    }
    auto& side = sequences == 0 ? made.before : made.after;
    for (const std::int64_t id :
         special_ids(section, text_field(part["SpecialToken"], "id", where), where)) {
      side.push_back(id);
    }
  }
  if (sequences != 1) {
    fail(where, ": the template 'single' needs one sequence (found ", sequences,
         ", expected 1); take the file from the original model");
  }
  return made;
}

std::int64_t pair_id(const json& section, const char* name, const std::string& where) {
  const json& pair = list_field(section, name, where);
  if (pair.size() != 2 || !pair[1].is_number_integer()) {
    fail(where, ": field '", name, "' is wrong (found ", pair.dump(),
         ", expected [token, id]); take the file from the original model");
  }
  return pair[1].get<std::int64_t>();
}

PostProcessor make_bert(const json& section, const std::string& where) {
  return {{pair_id(section, "cls", where)}, {pair_id(section, "sep", where)}};
}

PostProcessor make_sequence(const json& section, const std::string& where) {
  PostProcessor made;
  for (const json& part : list_field(section, "processors", where)) {
    const PostProcessor one = make_post_processor(part, where);
    made.before.insert(made.before.begin(), one.before.begin(), one.before.end());
    made.after.insert(made.after.end(), one.after.begin(), one.after.end());
  }
  return made;
}

struct Row {
  std::string_view name, help;
  PostProcessor (*make)(const json&, const std::string&);
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
  const std::string place = where + ": post_processor";
  const std::string type = text_field(section, "type", place);
  return row_of(std::span<const Row>(kPostProcessors), place, type)
      .make(section, place + " " + type);
}

}  // namespace lora
