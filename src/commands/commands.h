// SPDX-License-Identifier: Apache-2.0
// The table of commands. This file and commands.cc never include libtorch: `lora help` reads the
// table without loading the engine.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

using Arguments = std::vector<std::string>;

struct CommandRow {
  std::string_view name;
  std::string_view usage;  // the forms, one a line
  std::string_view help;   // one sentence
};

// Names, forms and one-line help of every command.
std::span<const CommandRow> command_rows();

// Text of `lora help` and `lora help VERB`; throws Error (usage) for an unknown word.
std::string help_text();
std::string help_text(std::string_view verb);

// Runs a command inside the engine; returns the exit code. Throws Error.
// Defined in run.cc, where each name is bound to its function.
int run_command(std::string_view name, const Arguments& arguments);

}  // namespace lora
