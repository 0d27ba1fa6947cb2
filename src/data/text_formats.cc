// SPDX-License-Identifier: Apache-2.0
// The ways to read a record. Field names and roles as LLaMA-Factory, axolotl and TRL take them.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "data/text_dataset.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

// The name in the file of what the format calls `role`.
std::string column(const ColumnNames& columns, const std::string& role) {
  const auto found = columns.find(role);
  return found == columns.end() ? role : found->second;
}

bool has(const ordered_json& record, const ColumnNames& columns, const std::string& role) {
  return record.contains(column(columns, role));
}

// A text field; "" where it is absent or null.
std::string optional_text(const ordered_json& record, const ColumnNames& columns,
                          const std::string& role) {
  const auto field = record.find(column(columns, role));
  if (field == record.end() || field->is_null()) return "";
  if (field->is_number() || field->is_boolean()) return field->dump();
  if (!field->is_string()) {
    fail("field '", column(columns, role), "' is not a text (found ", field->type_name(), ")");
  }
  return field->get<std::string>();
}

std::string needed_text(const ordered_json& record, const ColumnNames& columns,
                        const std::string& role) {
  if (!has(record, columns, role)) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : record.items()) names.push_back(name);
    fail("field '", column(columns, role), "' is missing (found ", join_words(names),
         "); name it with `columns: {", role, ": ...}`");
  }
  return optional_text(record, columns, role);
}

void add_message(TextRecord& out, const char* role, std::string content) {
  if (!content.empty()) out.messages.push_back({role, std::move(content)});
}

bool is_alpaca(const ordered_json& r, const ColumnNames& c) {
  return has(r, c, "instruction") && has(r, c, "output");
}
void read_alpaca(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  std::string prompt = needed_text(r, c, "instruction");
  const std::string input = optional_text(r, c, "input");
  std::string answer = needed_text(r, c, "output");
  add_message(out, "system", optional_text(r, c, "system"));
  const auto history = r.find(column(c, "history"));
  if (history != r.end() && history->is_array()) {
    for (const ordered_json& turn : *history) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string()) {
        fail("field 'history' is not a list of [question, answer] pairs");
      }
      out.messages.push_back({"user", turn[0].get<std::string>()});
      out.messages.push_back({"assistant", turn[1].get<std::string>()});
    }
  }
  if (!input.empty()) prompt += (prompt.empty() ? "" : "\n") + input;
  out.messages.push_back({"user", std::move(prompt)});
  out.messages.push_back({"assistant", std::move(answer)});
}

struct RoleName {
  const char *name, *role;
};
constexpr RoleName kRoles[] = {
    {"human", "user"},          {"user", "user"},        {"gpt", "assistant"},
    {"assistant", "assistant"}, {"model", "assistant"},  {"chatgpt", "assistant"},
    {"bot", "assistant"},       {"system", "system"},    {"developer", "system"},
    {"tool", "tool"},           {"observation", "tool"}, {"function_response", "tool"},
    {"ipython", "ipython"},
};

std::string role_of(const std::string& name) {
  std::vector<std::string> known;
  for (const RoleName& row : kRoles) {
    if (lower_ascii(name) == row.name) return row.role;
    known.emplace_back(row.name);
  }
  fail("unknown role '", name, "' (known: ", join_words(known), ")", did_you_mean(name, known));
}

// A text, or a list of {"type": "text", "text": ...} parts.
std::string content_of(const ordered_json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    fail("the content of a message is not a text (found ", content.type_name(), ")");
  }
  std::string out;
  for (const ordered_json& part : content) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) {
      fail("a message has a part that is not a text");
    }
    out += part["text"].get<std::string>();
  }
  return out;
}

void read_turns(const ordered_json& turns, const char* role_key, const char* content_key,
                TextRecord& out) {
  if (!turns.is_array() || turns.empty()) fail("the list of messages is empty or not a list");
  for (const ordered_json& turn : turns) {
    if (!turn.is_object() || !turn.contains(role_key) || !turn[role_key].is_string() ||
        !turn.contains(content_key)) {
      fail("a message lacks '", role_key, "' or '", content_key, "'");
    }
    out.messages.push_back(
        {role_of(turn[role_key].get<std::string>()), content_of(turn[content_key])});
  }
}

const ordered_json* turns_of(const ordered_json& r, const ColumnNames& c) {
  for (const std::string& name : {column(c, "messages"), std::string("messages"),
                                  std::string("conversations"), std::string("conversation")}) {
    const auto found = r.find(name);
    if (found != r.end() && found->is_array()) return &*found;
  }
  return nullptr;
}
bool turns_have(const ordered_json& r, const ColumnNames& c, const char* key) {
  const ordered_json* turns = turns_of(r, c);
  return turns != nullptr && !turns->empty() && (*turns)[0].is_object() &&
         (*turns)[0].contains(key);
}
const ordered_json& needed_turns(const ordered_json& r, const ColumnNames& c) {
  const ordered_json* turns = turns_of(r, c);
  if (turns == nullptr) fail("no list of messages (looked for: messages, conversations)");
  return *turns;
}

bool is_sharegpt(const ordered_json& r, const ColumnNames& c) { return turns_have(r, c, "from"); }
void read_sharegpt(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  const ordered_json& turns = needed_turns(r, c);
  const bool has_system = !turns.empty() && turns[0].is_object() && turns[0].contains("from") &&
                          turns[0]["from"] == "system";
  if (!has_system) add_message(out, "system", optional_text(r, c, "system"));
  read_turns(turns, "from", "value", out);
}

bool is_messages(const ordered_json& r, const ColumnNames& c) { return turns_have(r, c, "role"); }
void read_messages(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  read_turns(needed_turns(r, c), "role", "content", out);
}

bool is_prompt_completion(const ordered_json& r, const ColumnNames& c) {
  return has(r, c, "prompt") && (has(r, c, "completion") || r.contains("response"));
}
void read_prompt_completion(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  const bool response = !has(r, c, "completion") && r.contains("response");
  add_message(out, "system", optional_text(r, c, "system"));
  out.messages.push_back({"user", needed_text(r, c, "prompt")});
  out.messages.push_back({"assistant", needed_text(r, c, response ? "response" : "completion")});
}

bool is_text(const ordered_json& r, const ColumnNames& c) { return has(r, c, "text"); }
void read_text(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  out.text = needed_text(r, c, "text");
}

std::vector<std::int64_t> numbers(const ordered_json& r, const char* name) {
  if (!r.contains(name) || !r[name].is_array()) fail("field '", name, "' is not a list of ids");
  std::vector<std::int64_t> out;
  for (const ordered_json& id : r[name]) {
    if (!id.is_number_integer()) fail("field '", name, "' holds ", id.dump(), ", which is no id");
    out.push_back(id.get<std::int64_t>());
  }
  return out;
}
bool is_tokens(const ordered_json& r, const ColumnNames&) { return r.contains("input_ids"); }
void read_tokens(const ordered_json& r, const ColumnNames&, TextRecord& out) {
  out.tokens.ids = numbers(r, "input_ids");
  out.tokens.labels = r.contains("labels") ? numbers(r, "labels") : out.tokens.ids;
  if (out.tokens.labels.size() != out.tokens.ids.size()) {
    fail("labels do not fit input_ids (found ", out.tokens.labels.size(), ", expected ",
         out.tokens.ids.size(), ")");
  }
  for (const std::int64_t id : out.tokens.ids) {
    if (id < 0) fail("input_ids holds the negative number ", id);
  }
}

constexpr FormatRow kFormats[] = {
    {"alpaca", "instruction, output (input, system, history)", is_alpaca, read_alpaca},
    {"sharegpt", "conversations of from, value", is_sharegpt, read_sharegpt},
    {"messages", "messages of role, content", is_messages, read_messages},
    {"prompt_completion", "prompt, completion", is_prompt_completion, read_prompt_completion},
    {"tokens", "input_ids (labels)", is_tokens, read_tokens},
    {"text", "text", is_text, read_text},
};

}  // namespace

std::span<const FormatRow> text_formats() { return kFormats; }

}  // namespace lora
