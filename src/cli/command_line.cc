// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "base/error.h"
#include "base/numbers.h"
#include "base/text.h"

namespace lora {
namespace {

// The option's value as a number, where it is one that is allowed.
std::optional<double> allowed_number(const Option& option, std::string_view text) {
  std::optional<double> number;
  if (option.kind == Kind::whole) {
    if (const auto whole = whole_number(text)) number = static_cast<double>(*whole);
  } else {
    number = finite_number(text);
  }
  if (number && contains(option.range, *number)) return number;
  return std::nullopt;
}

const Option* find_option(const Form& form, std::string_view written) {
  for (const Option& option : form.options) {
    if (option.is_word()) continue;
    if (option.name == written) return &option;
    for (const std::string& alias : split(option.aliases, ' ')) {
      if (alias == written) return &option;
    }
  }
  return nullptr;
}

std::vector<std::string> option_names(const Form& form) {
  std::vector<std::string> names;
  for (const Option& option : form.options) {
    if (option.is_word()) continue;
    names.emplace_back(option.name);
    if (option.aliases.empty()) continue;
    for (const std::string& alias : split(option.aliases, ' ')) names.push_back(alias);
  }
  return names;
}

// "`lora help prepare` shows the form"
std::string help_hint(const Form& form) {
  return join("`lora help ", split(form.name, ' ').front(), "` shows the form");
}

}  // namespace

CommandLine::CommandLine(std::string_view name, const Arguments& arguments)
    : form_(form_called(name)) {
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    if (arguments[at].size() > 1 && arguments[at].starts_with("-")) {
      at = take_option(arguments, at);
    } else {
      take_word(arguments[at]);
    }
  }
  require("");
}

// "--name value" or "--name=value"; returns the place of the last word read.
std::size_t CommandLine::take_option(const Arguments& arguments, std::size_t at) {
  const std::string& word = arguments[at];
  const std::size_t equals = word.find('=');
  const std::string written = word.substr(0, equals);
  const Option* option = find_option(form_, written);
  if (option == nullptr) {
    fail_usage("lora ", form_.name, ": ", written, ": unknown option",
               did_you_mean(written, option_names(form_)));
  }
  if (option->is_flag()) {
    if (equals != std::string::npos) {
      fail_usage("lora ", form_.name, ": ", written, ": takes no value (found '",
                 word.substr(equals + 1), "'); leave it out");
    }
    values_[option->name] = {"true"};
    return at;
  }
  if (equals != std::string::npos) {
    take(*option, word.substr(equals + 1));
    return at;
  }
  const bool last = at + 1 == arguments.size();
  if (last || arguments[at + 1].starts_with("--")) {
    fail_usage("lora ", form_.name, ": ", written, ": its value is missing (found ",
               last ? "nothing" : "'" + arguments[at + 1] + "'", "); write ", written, "=",
               option->value.empty() ? "CHOICE" : option->value);
  }
  take(*option, arguments[at + 1]);
  return at + 1;
}

void CommandLine::take(const Option& option, const std::string& value) {
  std::vector<std::string>& all = values_[option.name];
  if (!all.empty() && !option.many) {
    fail_usage("lora ", form_.name, ": ", option.name, ": given twice (found '", all.front(),
               "' and '", value, "'); keep one");
  }
  if (option.kind != Kind::text && !allowed_number(option, value)) {
    const std::string range = range_text(option.range);
    fail_usage("lora ", form_.name, ": ", option.name, ": out of range (found '", value,
               "', expected a ", option.kind == Kind::whole ? "whole number" : "number",
               range.empty() ? "" : " " + range, "); ", help_hint(form_));
  }
  if (const std::string_view known = choices_of(option); !known.empty()) {
    const std::vector<std::string> choices = split(known, ' ');
    if (std::ranges::find(choices, value) == choices.end()) {
      fail_usage("lora ", form_.name, ": ", option.name, " '", value,
                 "': unknown (known: ", join_words(choices), ")", did_you_mean(value, choices));
    }
  }
  all.push_back(value);
}

// A word in its place: the first that is free.
void CommandLine::take_word(const std::string& word) {
  for (const Option& option : form_.options) {
    if (!option.is_word()) continue;
    if (option.many || !given(option.name)) return take(option, word);
  }
  fail_usage("lora ", form_.name, ": '", word, "' is one word too many; put quotes around a text ",
             "with blanks (", help_hint(form_), ")");
}

void CommandLine::require(std::string_view group) const {
  for (const Option& option : form_.options) {
    if (option.missing.empty() || option.group != group || given(option.name)) continue;
    if (option.unless.empty() || !given(option.unless)) fail_missing(option.name);
  }
}

void CommandLine::fail_missing(std::string_view name) const {
  const Option& option = row(name);
  if (option.missing == kForm) {
    fail_usage("lora ", form_.name, ": ", name, " is required; ", help_hint(form_));
  }
  fail_usage("lora ", form_.name, ": ", name, " is missing; ", option.missing);
}

void CommandLine::settle(std::string_view group) const {
  for (const Option& option : form_.options) {
    if (option.group.empty() || option.group == group || !given(option.name)) continue;
    fail_usage("lora ", form_.name, ": ", option.name, ": is for ", option.group,
               " (found a --base for ", group, "); leave it out");
  }
  require(group);
}

// A name without a row is a mistake of the program, not of its user.
const Option& CommandLine::row(std::string_view name) const {
  for (const Option& option : form_.options) {
    if (option.name == name) return option;
  }
  throw std::logic_error(
      join("lora ", form_.name, " asks for ", name, ", which it has not declared"));
}

const std::vector<std::string>& CommandLine::values(std::string_view name) const {
  static const std::vector<std::string> none;
  const auto found = values_.find(row(name).name);
  return found == values_.end() ? none : found->second;
}

std::string CommandLine::text(std::string_view name) const {
  return given(name) ? values(name).front() : std::string(row(name).standard);
}

std::int64_t CommandLine::whole(std::string_view name) const {
  return whole_number(text(name)).value_or(0);
}

double CommandLine::real(std::string_view name) const {
  return finite_number(text(name)).value_or(0);
}

}  // namespace lora
