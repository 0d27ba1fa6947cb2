// SPDX-License-Identifier: Apache-2.0
// The ways to read a record. Field names and roles as LLaMA-Factory, axolotl and TRL take them.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
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

// The text of a field; "" for null.
std::string text_in(const ordered_json& value, const std::string& name) {
  if (value.is_null()) return "";
  if (value.is_number() || value.is_boolean()) return value.dump();
  if (!value.is_string()) {
    fail("field '", name, "' is not a text (found ", value.type_name(), ")");
  }
  return value.get<std::string>();
}

// A text field; "" where it is absent or null.
std::string optional_text(const ordered_json& record, const ColumnNames& columns,
                          const std::string& role) {
  const auto field = record.find(column(columns, role));
  return field == record.end() ? "" : text_in(*field, field.key());
}

void require_field(const ordered_json& record, const ColumnNames& columns,
                   const std::string& role) {
  if (has(record, columns, role)) return;
  std::vector<std::string> names;
  for (const auto& [name, unused] : record.items()) names.push_back(name);
  fail("field '", column(columns, role), "' is missing (found ", join_words(names),
       "); name it with `columns: {", role, ": ...}`");
}

std::string needed_text(const ordered_json& record, const ColumnNames& columns,
                        const std::string& role) {
  require_field(record, columns, role);
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
    {"ipython", "ipython"},     {"function_call", "assistant"},
    {"function", "tool"},
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

// JSON that stands in a text; null where it is none.
ordered_json json_in(const std::string& text) {
  return try_parse_json<ordered_json>(text).value_or(ordered_json());
}

// The arguments of a call as an object: OpenAI writes them as a text, templates expect the object.
void parse_arguments(ordered_json& calls) {
  for (ordered_json& call : calls) {
    if (!call.is_object()) fail("field 'tool_calls' holds no call (found ", call.type_name(), ")");
    ordered_json& function = call.contains("function") ? call["function"] : call;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
      fail("field 'tool_calls' has a call without the name of a function");
    }
    ordered_json arguments = function.value("arguments", ordered_json::object());
    if (arguments.is_string()) {
      ordered_json parsed = json_in(arguments.get<std::string>());
      if (parsed.is_object()) arguments = std::move(parsed);
    }
    function["arguments"] = std::move(arguments);
  }
}

// LLaMA-Factory's `function_call`: one call or a list, as a text.
void read_call(Message& message) {
  ordered_json calls = json_in(message.content);
  if (calls.is_object()) calls = ordered_json::array({calls});
  if (!calls.is_array() || calls.empty()) return;  // a call in another notation: a text
  for (const ordered_json& call : calls) {
    if (!call.is_object() || !call.contains("name") || !call["name"].is_string()) return;
  }
  parse_arguments(calls);
  ordered_json listed = ordered_json::array();
  for (ordered_json& call : calls) {
    listed.push_back({{"type", "function"}, {"function", std::move(call)}});
  }
  message.more.emplace_back("tool_calls", to_value(listed));
  message.call_as_text = true;
}

// Fields that say whether a turn is learned: axolotl, OpenAI and Mistral, ms-swift.
constexpr const char* kLearned[] = {"train", "training", "weight", "loss"};

bool is_learned(const std::string& name, const ordered_json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number() && (value == 0 || value == 1)) return value == 1;
  fail("field '", name, "' of a message is neither learned nor not (found ", value.dump(),
       ", expected 0 or 1, false or true)");
}

void take_field(const std::string& name, const ordered_json& value, Message& message) {
  // As absent: tables of records fill up with null, and with no calls.
  if (value.is_null() || (name == "tool_calls" && value.is_array() && value.empty())) return;
  const auto found = std::ranges::find(kLearned, name);
  if (found == std::end(kLearned)) {
    ordered_json kept = value;
    if (name == "tool_calls" && kept.is_array()) parse_arguments(kept);
    message.more.emplace_back(name, to_value(kept));
    return;
  }
  const bool learned = is_learned(name, value);
  if (learned && message.role != "assistant") {
    fail("field '", name, "' asks to learn a turn of '", message.role,
         "'; only answers are learned (train_on_prompt learns all)");
  }
  if (message.role == "assistant" && !learned) message.trained = false, message.excluded = true;
}

bool has_calls(const ordered_json& turn) {
  const auto calls = turn.find("tool_calls");
  return calls != turn.end() && calls->is_array() && !calls->empty();
}

Message read_turn(const ordered_json& turn, const char* role_key, const char* content_key) {
  const bool calls = turn.is_object() && has_calls(turn);
  if (!turn.is_object() || !turn.contains(role_key) || !turn[role_key].is_string() ||
      (!turn.contains(content_key) && !calls)) {
    fail("a message lacks '", role_key, "' or '", content_key, "'");
  }
  const std::string name = turn[role_key].get<std::string>();
  Message message{role_of(name), ""};
  const auto content = turn.find(content_key);
  if (content == turn.end()) {
    message.more.emplace_back("content", jinja::Value());
  } else if (content->is_null() && calls) {
    message.more.emplace_back("content", jinja::None{});
  } else {
    message.content = content_of(*content);
  }
  for (const auto& [field, value] : turn.items()) {
    if (field != role_key && field != content_key) take_field(field, value, message);
  }
  if (lower_ascii(name) == "function_call") read_call(message);
  return message;
}

// An answer with nothing before it is the beginning of what was said, and no answer to anything.
void settle_begin(TextRecord& out) {
  if (out.messages.front().role != "assistant") return;
  out.messages.front().trained = false;
  out.remark = "begins with an answer, which is shown and not learned";
}

void read_turns(const ordered_json& turns, const char* role_key, const char* content_key,
                TextRecord& out) {
  if (!turns.is_array() || turns.empty()) fail("the list of messages is empty or not a list");
  for (const ordered_json& turn : turns) {
    out.messages.push_back(read_turn(turn, role_key, content_key));
  }
}

// `tools`, as a list or as the text of one, and `chat_template_kwargs`.
void read_variables(const ordered_json& r, TextRecord& out) {
  const auto tools = r.find("tools");
  if (tools != r.end() && !tools->is_null() && *tools != "") {
    ordered_json list = *tools;
    if (list.is_string()) list = json_in(list.get<std::string>());
    if (!list.is_array()) {
      fail("field 'tools' is not a list of tools, nor the JSON text of one (found ",
           tools->type_name(), ")");
    }
    if (!list.empty()) out.variables.emplace_back("tools", to_value(list));
  }
  const auto settings = r.find("chat_template_kwargs");
  if (settings == r.end() || settings->is_null()) return;
  if (!settings->is_object()) fail("field 'chat_template_kwargs' is not a mapping");
  for (const auto& [name, value] : settings->items()) {
    out.variables.emplace_back(name, to_value(value));
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
  settle_begin(out);
  read_variables(r, out);
}

bool is_messages(const ordered_json& r, const ColumnNames& c) {
  const ordered_json* turns = turns_of(r, c);
  return turns_have(r, c, "role") || (turns != nullptr && turns->empty());
}
void read_messages(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  read_turns(needed_turns(r, c), "role", "content", out);
  settle_begin(out);
  read_variables(r, out);
}

bool is_prompt_completion(const ordered_json& r, const ColumnNames& c) {
  return has(r, c, "prompt") && (has(r, c, "completion") || r.contains("response"));
}
// One side of the pair: a text is one turn of `role`, a list is turns (TRL's conversational form).
void read_side(const ordered_json& r, const std::string& name, const char* role, TextRecord& out) {
  const ordered_json& side = r.at(name);
  if (!side.is_array()) return out.messages.push_back({role, text_in(side, name)});
  const bool from = !side.empty() && side[0].is_object() && side[0].contains("from");
  read_turns(side, from ? "from" : "role", from ? "value" : "content", out);
}
void read_prompt_completion(const ordered_json& r, const ColumnNames& c, TextRecord& out) {
  const bool response = !has(r, c, "completion") && r.contains("response");
  require_field(r, c, "prompt");
  if (!response) require_field(r, c, "completion");
  add_message(out, "system", optional_text(r, c, "system"));
  read_side(r, column(c, "prompt"), "user", out);
  for (Message& message : out.messages) message.trained &= message.role != "assistant";
  read_side(r, response ? "response" : column(c, "completion"), "assistant", out);
  read_variables(r, out);
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
