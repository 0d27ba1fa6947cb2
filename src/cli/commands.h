// SPDX-License-Identifier: Apache-2.0
// The table of commands with their options. src/cli never includes libtorch: the program answers
// `lora help` without loading the engine.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option.h"

namespace lora {

using Arguments = std::vector<std::string>;

// What may be written after `lora`.
struct Form {
  std::string_view name;  // "eval", "prepare text"
  std::span<const Option> options;
  std::string_view rest = "";  // shown behind the options
};

struct Command {
  std::string_view name;
  std::string_view help;  // one sentence
  std::span<const Form> forms;
  // Returns the exit code; throws Error. Absent in the small program, which has no engine.
  int (*run)(const Arguments& arguments) = nullptr;
};

// All commands, in the order of help.
std::span<const Command> commands();

// Their rows, one function a file. To add a command: src/commands/NAME.cc with run_NAME, and in one
// of these files its options and its row.
std::span<const Command> training_commands();
std::span<const Command> using_commands();
std::span<const Command> version_commands();
std::span<const Command> bench_commands();

// The form of that name, of any command.
const Form& form_called(std::string_view name);

// Runs a command inside the engine; returns the exit code. Throws Error, also for an unknown name.
int run_command(std::string_view name, const Arguments& arguments);

// Text of `lora help`, `lora help VERB` (throws Error (usage) for an unknown word) and
// docs/commands.md.
std::string help_text();
std::string help_text(std::string_view verb);
std::string commands_markdown();

}  // namespace lora
