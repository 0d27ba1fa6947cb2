// SPDX-License-Identifier: Apache-2.0
// A conversation as records hold it and as chat templates get it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace lora {

// Names and values, in the order of the record.
using Fields = std::vector<std::pair<std::string, jinja::Value>>;

const jinja::Value* find_field(const Fields& fields, std::string_view name);

struct Message {
  std::string role;  // "system", "user", "assistant" or what the template knows beside these
  std::string content;
  // What else the template gets of the turn: tool_calls, reasoning_content, name, ... An entry
  // `content` stands instead of the text: None where the record has null, undefined where it has
  // none.
  Fields more = {};
  bool trained = true;    // an answer that is learned, not only shown
  bool excluded = false;  // by the record: not learned with train_on_prompt either
  // The content is the call of `tool_calls` as a text: for templates without calls.
  bool call_as_text = false;
};

jinja::Value to_value(const nlohmann::ordered_json& json);

// The message as the template gets it.
jinja::Value template_value(const Message& message);

// The texts of `message` that are learned or read beside its content: thoughts and calls.
// "reasoning_content", its text; "tool_calls", the name of each function.
std::vector<std::pair<std::string, std::string>> spoken_fields(const Message& message);

// The content and what stands beside it, a line each, for comparing texts.
std::string whole_text(const Message& message);

// The names of the functions in `tools` ({"function": {"name"}} or {"name"}).
std::vector<std::string> tool_names(const jinja::Value& tools);

// SHA-256 of what is rendered and learned. Of messages with nothing beside role and content it is
// the hash of earlier releases.
std::string hash_of(std::span<const Message> messages, const Fields& variables);

}  // namespace lora
