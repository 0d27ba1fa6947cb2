// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <stdexcept>

#include "base/table.h"
#include "config/fields.h"

namespace lora {
namespace {

constexpr Form kHelpForms[] = {
    {"help", {}, "[VERB | config [KEY | --markdown] | --markdown]"},
};
constexpr Command kHelp{"help", "this list, one command, or every configuration key", kHelpForms};

std::vector<Command> all_commands() {
  std::vector<Command> all;
  for (const auto& part :
       {training_commands(), using_commands(), version_commands(), bench_commands()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  all.push_back(kHelp);
  return all;
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> all = all_commands();
  return all;
}

std::string_view choices_of(const Option& option) {
  if (option.key.empty()) return option.choices;
  const Field* key = find_field(option.key);
  if (key == nullptr) throw std::logic_error(join(option.name, ": no key ", option.key));
  return key->choices;
}

const Form& form_called(std::string_view name) {
  for (const Command& command : commands()) {
    if (const Form* form = find_row(command.forms, name)) return *form;
  }
  throw std::logic_error(join("lora ", name, " is no form of a command"));
}

int run_command(std::string_view name, const Arguments& arguments) {
  const Command& command = row_of(commands(), "command", name);
  if (command.run == nullptr) throw std::logic_error(join("lora ", name, " has no function"));
  return command.run(arguments);
}

}  // namespace lora
