// SPDX-License-Identifier: Apache-2.0
#include "data/prompt_template.h"

#include <algorithm>

#include "base/table.h"
#include "data/template_date.h"

namespace lora {
namespace {

using Messages = std::span<const Message>;

jinja::Template choose(const std::string& setting, const Tokenizer& tokenizer) {
  if (setting == "auto" && !tokenizer.chat_template().empty()) {
    return {tokenizer.chat_template(), "of the tokenizer"};
  }
  const std::string name = setting == "auto" ? "plain" : setting;
  if (const TemplateRow* row = find_row(prompt_templates(), name)) return {row->source, name};
  const Path file(setting);
  if (std::filesystem::is_regular_file(file)) return {read_file(file), setting};
  const std::vector<std::string> names = names_of(prompt_templates());
  fail_usage("prompt_template '", setting, "': neither a built-in name nor a file (known: auto, ",
             join_words(names), ")", did_you_mean(setting, names));
}

// A copy of a call, or of its function, whose arguments are the JSON text.
jinja::Value with_arguments_as_text(const jinja::Value& call) {
  if (!call.dict()) return call;
  std::vector<std::pair<jinja::Value, jinja::Value>> items = call.fields().items;
  for (auto& [key, value] : items) {
    if (key == jinja::Value("function")) value = with_arguments_as_text(value);
    if (key == jinja::Value("arguments") && value.dict()) value = jinja::to_json(value);
  }
  return jinja::make_dict(std::move(items));
}

// The call of LLaMA-Factory's `function_call`: as the template writes calls, else as the text.
void settle_call(Message& turn, bool takes_calls, bool without_text) {
  if (!takes_calls) {
    std::erase_if(turn.more, [](const auto& field) { return field.first == "tool_calls"; });
    return;
  }
  turn.content.clear();
  if (without_text) turn.more.emplace_back("content", jinja::None{});
}

// The arguments of every call as the JSON text.
void write_arguments(Message& turn) {
  for (auto& [name, value] : turn.more) {
    if (name != "tool_calls" || !value.list()) continue;
    jinja::List calls;
    for (const jinja::Value& call : value.items()) {
      calls.push_back(with_arguments_as_text(call));
    }
    value = std::move(calls);
  }
}

const Message kProbe[] = {{"system", "Answer briefly."},
                          {"user", "What is 2 + 2?"},
                          {"assistant", "It is 4."},
                          {"user", "And 3 + 3?"},
                          {"assistant", "It is 6."}};

}  // namespace

PromptTemplate::PromptTemplate(const std::string& setting,
                               std::shared_ptr<const Tokenizer> tokenizer, const std::string& date)
    : tokenizer_(std::move(tokenizer)),
      template_(choose(setting, *tokenizer_)),
      date_(read_date(date)) {
  probe();
}

jinja::Rendering PromptTemplate::render_at(const std::tm& date, Messages messages,
                                           bool generation_prompt, const Fields& variables) const {
  jinja::List list;
  for (const Message& message : messages) list.push_back(template_value(message));
  const jinja::Function now = [date](jinja::Arguments& arguments) -> jinja::Value {
    return format_date(date, arguments.get(0, "format").str());
  };
  jinja::Value all = jinja::make_dict({{"messages", std::move(list)},
                                       {"bos_token", tokenizer_->bos_token()},
                                       {"eos_token", tokenizer_->eos_token()},
                                       {"strftime_now", now},
                                       {"add_generation_prompt", generation_prompt}});
  // As transformers: tools and documents that are absent are none.
  if (tools_may_be_none_) {
    all.fields().set("tools", jinja::None{});
    all.fields().set("documents", jinja::None{});
  }
  const SpecialIds& special = tokenizer_->special();
  if (special.pad) all.fields().set("pad_token", tokenizer_->token_of(*special.pad));
  if (special.unk) all.fields().set("unk_token", tokenizer_->token_of(*special.unk));
  for (const auto& [name, value] : variables) all.fields().set(name, value);
  return template_.render(all);
}

jinja::Rendering PromptTemplate::render_once(Messages messages, bool generation_prompt,
                                             const Fields& variables) const {
  return render_at(date_, messages, generation_prompt, variables);
}

bool PromptTemplate::writes(Messages messages, std::string_view part,
                            const Fields& variables) const {
  try {
    return render_once(messages, true, variables).text.find(part) != std::string::npos;
  } catch (const jinja::Excess&) {
    throw;  // it would take as long the next time
  } catch (const Error&) {
    return false;
  }
}

void PromptTemplate::probe() {
  // Templates of the kind "tool_use" go through the tools without asking whether there are any.
  const Message user[] = {{"user", "x"}};
  tools_may_be_none_ = writes(user, "", {});
  needs_variables_ = !tools_may_be_none_ && !writes(user, "", {});
  if (needs_variables_) tools_may_be_none_ = true;
  habits_ = habits_with({});
}

// A system message; calls, whose arguments are an object or a text, beside an empty text or none.
PromptTemplate::Habits PromptTemplate::habits_with(const Fields& variables) const {
  Habits habits;
  const Message system[] = {{"system", "Zyx system probe"}, {"user", "x"}};
  habits.system = writes(system, system[0].content, variables);
  const jinja::Value object = jinja::make_dict({{"zyx", "y"}});
  for (const jinja::Value& arguments : {object, jinja::Value(jinja::to_json(object))}) {
    const jinja::Value function =
        jinja::make_dict({{"name", "zyx_call_probe"}, {"arguments", arguments}});
    const jinja::Value call =
        jinja::make_dict({{"id", "callprobe"}, {"type", "function"}, {"function", function}});
    Message turns[] = {{"user", "x"}, {"assistant", "", {{"tool_calls", jinja::List{call}}}}};
    for (const bool without : {false, true}) {
      if (habits.calls) return habits;
      if (without) turns[1].more.emplace_back("content", jinja::None{});
      habits.calls = writes(turns, "zyx_call_probe", variables);
      habits.calls_without_text = without;
      habits.arguments_as_text = arguments.string();
    }
  }
  return habits;
}

PromptTemplate::Conversation PromptTemplate::adapted(Messages messages,
                                                     const Fields& variables) const {
  const Habits habits = needs_variables_ ? habits_with(variables) : habits_;
  Conversation out{{messages.begin(), messages.end()}, variables, {}};
  std::vector<Message>& turns = out.messages;
  for (Message& turn : turns) {
    if (turn.call_as_text) settle_call(turn, habits.calls, habits.calls_without_text);
    if (habits.arguments_as_text) write_arguments(turn);
  }
  if (!habits.system && turns.size() > 1 && turns[0].role == "system") {
    turns[1].content = turns[0].content + "\n" + turns[1].content;
    turns.erase(turns.begin());
  }
  return out;
}

std::string PromptTemplate::render(Messages messages, bool generation_prompt,
                                   const Fields& variables) const {
  return render_once(adapted(messages, variables).messages, generation_prompt, variables).text;
}

std::vector<std::int64_t> PromptTemplate::ids_of(const std::string& text) const {
  std::vector<std::int64_t> ids =
      tokenizer_->encode(text, {.add_special = false, .parse_special = true});
  const std::optional<std::int64_t> bos = tokenizer_->special().bos;
  while (bos && ids.size() > 1 && ids[0] == *bos && ids[1] == *bos) ids.erase(ids.begin());
  return ids;
}

std::vector<std::int64_t> PromptTemplate::prompt_ids(Messages messages) const {
  return ids_of(render(messages, true));
}

bool PromptTemplate::ends_turn(std::int64_t id) const {
  if (id == tokenizer_->special().eos) return true;
  const std::string token = tokenizer_->token_of(id);
  return token.size() > 2 && token.front() == '<' && token.back() == '>' &&
         !token.starts_with("<0x") && tokenizer_->id_of(token) == id;
}

TextSample PromptTemplate::encode_text(const std::string& text) const {
  TextSample sample;
  sample.ids = tokenizer_->encode(text, {.add_special = true, .parse_special = true});
  const std::optional<std::int64_t> eos = tokenizer_->special().eos;
  if (eos && (sample.ids.empty() || sample.ids.back() != *eos)) sample.ids.push_back(*eos);
  sample.labels = sample.ids;
  if (!sample.ids.empty()) sample.labels[0] = kIgnore;
  return sample;
}

std::string PromptTemplate::fingerprint() const {
  // The clock is no part of the format.
  static const std::tm fixed = read_date("2000-01-01");
  const Conversation probe = adapted(Messages(kProbe).first(4), {});
  Sha256 hash;
  hash.update(source());
  for (const std::int64_t id : ids_of(render_at(fixed, probe.messages, true, {}).text)) {
    hash.update("\n" + std::to_string(id));
  }
  return hash.hex();
}

std::string PromptTemplate::date() const {
  const bool asks = source().find("strftime_now") != std::string::npos;
  return asks ? date_text(date_) : "";
}

std::vector<std::int64_t> PromptTemplate::stop_ids() const {
  std::vector<std::int64_t> out;
  if (tokenizer_->special().eos) out.push_back(*tokenizer_->special().eos);
  for (const TextSample& sample : encode(Messages(kProbe).subspan(1, 2)).samples) {
    for (std::size_t i = sample.ids.size(); i-- > 0;) {
      if (sample.labels[i] == kIgnore) continue;
      const bool known = std::find(out.begin(), out.end(), sample.ids[i]) != out.end();
      if (!known && ends_turn(sample.ids[i])) out.push_back(sample.ids[i]);
      break;
    }
  }
  return out;
}

}  // namespace lora
