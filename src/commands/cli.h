// SPDX-License-Identifier: Apache-2.0
// Command lines of the verbs: CLI11 for the options, our own form for the errors.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "commands/commands.h"

namespace lora {

// Parses the arguments after the verb. Throws Error (usage):
//   "lora eval: --vesrion: unknown option; did you mean '--version'?"
void parse_arguments(CLI::App& app, const std::string& verb, const Arguments& arguments);

}  // namespace lora
