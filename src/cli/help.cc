// SPDX-License-Identifier: Apache-2.0
// What is written out of the table of commands: help and docs/commands.md.
#include <fmt/format.h>

#include <algorithm>

#include "base/layout.h"
#include "base/table.h"
#include "base/text.h"
#include "cli/commands.h"

namespace lora {
namespace {

// "DIR", "auto|f32|bf16", "" for a flag
std::string value_name(const Option& option) {
  if (!option.value.empty()) return std::string(option.value);
  const std::string_view choices = choices_of(option);
  return choices.empty() ? "" : join_words(split(choices, ' '), "|");
}

// "--version V[:WEIGHT]", "FILE_OR_DIR"
std::string written(const Option& option) {
  if (option.is_word()) return std::string(option.value);
  const std::string value = value_name(option);
  return join(option.name, value.empty() ? "" : " ", value);
}

// As in the form: "[--version V[:WEIGHT] ...]"
std::string in_form(const Option& option) {
  const std::string text = written(option) + (option.many ? " ..." : "");
  return option.missing.empty() ? "[" + text + "]" : text;
}

std::vector<std::string_view> groups_of(const Form& form) {
  std::vector<std::string_view> groups;
  for (const Option& option : form.options) {
    const bool known = std::ranges::find(groups, option.group) != groups.end();
    if (!option.group.empty() && !known) groups.push_back(option.group);
  }
  return groups;
}

// `head` and the words behind it, in lines that go on below its end or four blanks in.
std::string form_lines(const std::string& head, const std::vector<std::string>& words,
                       std::size_t indent) {
  constexpr std::size_t kWidth = 96;
  std::string out, line = head;
  for (const std::string& word : words) {
    if (line.size() + 1 + word.size() > kWidth) {
      out += line + "\n";
      line = std::string(indent - 1, ' ');
    }
    line += " " + word;
  }
  return out + line + "\n";
}

std::string usage(const Form& form) {
  const auto words_of = [&](std::string_view group) {
    std::vector<std::string> words;
    for (const Option& option : form.options) {
      if (option.group == group) words.push_back(in_form(option));
    }
    return words;
  };
  std::vector<std::string> words = words_of("");
  if (!form.rest.empty()) words.emplace_back(form.rest);
  std::string out = form_lines(join("lora ", form.name), words, 4);
  for (const std::string_view group : groups_of(form)) {
    out += form_lines(fmt::format("  {:<7}", join(group, ":")), words_of(group), 10);
  }
  return out;
}

// "whole number, 1 to 4096; default 5; also --output"
std::string details(const Option& option) {
  std::vector<std::string> parts;
  const std::string range = range_text(option.range);
  if (!range.empty()) parts.push_back(range);
  const std::string_view choices = choices_of(option);
  if (!option.value.empty() && !choices.empty()) parts.push_back(join_words(split(choices, ' ')));
  if (!option.standard.empty()) parts.push_back(join("default ", option.standard));
  if (!option.absent.empty()) parts.push_back(join("default: ", option.absent));
  if (!option.aliases.empty()) {
    parts.push_back(join("also ", join_words(split(option.aliases, ' '))));
  }
  return join_words(parts, "; ");
}

std::string explanation(const Option& option) {
  const std::string more = details(option);
  return join(option.help, more.empty() ? "" : " (", more, more.empty() ? "" : ")");
}

std::string option_lines(const Form& form) {
  constexpr std::size_t kColumn = 28, kWidth = 98;
  std::string out;
  for (const Option& option : form.options) {
    const std::string left = "  " + written(option);
    const std::string text = wrapped(explanation(option), kColumn, kWidth);
    if (left.size() + 2 <= kColumn) {
      out += left + text.substr(left.size());
    } else {
      out += left + "\n" + text;
    }
  }
  return out;
}

std::string option_rows(const Form& form) {
  std::string out = "| option | meaning |\n|---|---|\n";
  for (const Option& option : form.options) {
    std::string meaning = explanation(option);
    if (!option.group.empty()) meaning += join(" Only for ", option.group, ".");
    out += fmt::format("| `{}` | {} |\n", table_cell(written(option)), table_cell(meaning));
  }
  return out;
}

}  // namespace

std::string help_text() {
  std::string text =
      "lora: trains LoRA adapters for language models and Stable Diffusion from one YAML file,\n"
      "and continues from the last adapter.\n\ncommands:\n";
  for (const Command& row : commands()) {
    text += join("  ", row.name, std::string(12 - row.name.size(), ' '), row.help, "\n");
  }
  return text + "\n`lora help VERB` shows one command, `lora help config` every key.\n";
}

std::string help_text(std::string_view verb) {
  const Command& command = row_of(commands(), "command", verb);
  std::string text = join(command.help, "\n\n");
  for (const Form& form : command.forms) text += usage(form);
  for (const Form& form : command.forms) {
    if (form.options.empty()) continue;
    text += command.forms.size() > 1 ? join("\nlora ", form.name, "\n") : "\n";
    text += option_lines(form);
  }
  return text;
}

std::string commands_markdown() {
  std::string out =
      "# Commands\n\n"
      "Written by `lora help --markdown > docs/commands.md`; do not edit.\n\n"
      "`--name VALUE` and `--name=VALUE` mean the same. An unknown option, a value out of range "
      "and "
      "an\noption that the model has no use for are errors; exit codes: 0 done, 1 failed, 2 wrong "
      "use,\nconfiguration or preflight, 3 a file does not match its record, 130 interrupted.\n";
  for (const Command& command : commands()) {
    out += join("\n## lora ", command.name, "\n\n", command.help, "\n\n```\n");
    for (const Form& form : command.forms) out += usage(form);
    out += "```\n";
    for (const Form& form : command.forms) {
      if (form.options.empty()) continue;
      if (command.forms.size() > 1) out += join("\n`lora ", form.name, "`:\n");
      out += "\n" + option_rows(form);
    }
  }
  return out;
}

}  // namespace lora
