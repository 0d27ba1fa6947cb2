// SPDX-License-Identifier: Apache-2.0
#include "data/messages.h"

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace lora {
namespace {

using jinja::Value;
using nlohmann::ordered_json;

// Fields of an answer that hold its thought, as data sets and templates name them.
constexpr const char* kThoughts[] = {"reasoning_content", "reasoning", "thinking", "thought"};

std::string name_in(const Value& holder) {
  if (!holder.dict()) return "";
  if (const Value* function = holder.fields().find(std::string_view("function"))) {
    return name_in(*function);
  }
  const Value* name = holder.fields().find(std::string_view("name"));
  return name != nullptr && name->string() ? name->text() : "";
}

std::vector<std::string> names_in(const Value& list) {
  std::vector<std::string> names;
  if (!list.list()) return names;
  for (const Value& item : list.items()) {
    std::string name = name_in(item);
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

ordered_json hashed_fields(const Fields& fields) {
  ordered_json out = ordered_json::array();
  for (const auto& [name, value] : fields) {
    if (!value.undefined()) out.push_back({name, jinja::to_json(value)});
  }
  return out;
}

}  // namespace

const Value* find_field(const Fields& fields, std::string_view name) {
  for (const auto& [key, value] : fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

Value to_value(const ordered_json& json) {
  if (json.is_null()) return jinja::None{};
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_number()) return json.get<std::int64_t>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    jinja::List list;
    for (const ordered_json& item : json) list.push_back(to_value(item));
    return list;
  }
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [name, item] : json.items()) items.emplace_back(name, to_value(item));
  return jinja::make_dict(std::move(items));
}

Value template_value(const Message& message) {
  std::vector<std::pair<Value, Value>> items = {{"role", message.role}};
  const bool own = find_field(message.more, "content") == nullptr;
  if (own) items.emplace_back("content", message.content);
  for (const auto& [name, value] : message.more) {
    if (!value.undefined()) items.emplace_back(name, value);
  }
  return jinja::make_dict(std::move(items));
}

std::vector<std::pair<std::string, std::string>> spoken_fields(const Message& message) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const char* name : kThoughts) {
    const Value* thought = find_field(message.more, name);
    if (thought != nullptr && thought->string()) out.emplace_back(name, thought->text());
  }
  if (const Value* calls = find_field(message.more, "tool_calls")) {
    for (const std::string& name : names_in(*calls)) out.emplace_back("tool_calls", name);
  }
  return out;
}

std::string whole_text(const Message& message) {
  std::string text = message.content + "\n";
  for (const auto& [name, value] : message.more) {
    if (!value.undefined() && !value.none()) text += jinja::to_json(value) + "\n";
  }
  return text;
}

std::vector<std::string> tool_names(const Value& tools) { return names_in(tools); }

std::string hash_of(std::span<const Message> messages, const Fields& variables) {
  ordered_json content;
  for (const Message& message : messages) {
    ordered_json turn = {message.role, message.content};
    if (!message.more.empty()) turn.push_back(hashed_fields(message.more));
    if (!message.trained) turn.push_back(message.excluded ? "excluded" : "shown");
    content.push_back(std::move(turn));
  }
  if (!variables.empty()) content.push_back(hashed_fields(variables));
  return sha256(content.dump());
}

}  // namespace lora
