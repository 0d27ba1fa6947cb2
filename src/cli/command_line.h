// SPDX-License-Identifier: Apache-2.0
// The words after a command, read as its table of options says.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"

namespace lora {

class CommandLine {
 public:
  // `name` is the name of a form: "eval", "prepare text". Throws Error (usage) for what the form
  // does not know (with a guess), for values out of range and for what is missing:
  //   "lora eval: --vesrion: unknown option; did you mean '--version'?"
  CommandLine(std::string_view name, const Arguments& arguments);

  // Options are asked for by the name of their row. Without a value: that of the row, else "" or 0.
  bool given(std::string_view name) const { return !values(name).empty(); }
  std::string text(std::string_view name) const;
  std::int64_t whole(std::string_view name) const;
  double real(std::string_view name) const;
  // In the order given.
  const std::vector<std::string>& list(std::string_view name) const { return values(name); }

  // Throws as for an option that is missing, where the command could not fill it in otherwise.
  [[noreturn]] void fail_missing(std::string_view name) const;

  // Which kind of base model there is: refuses options of other groups and requires those of this
  // one.
  void settle(std::string_view group) const;

 private:
  const Option& row(std::string_view name) const;
  const std::vector<std::string>& values(std::string_view name) const;
  void take(const Option& option, const std::string& value);
  void take_word(const std::string& word);
  std::size_t take_option(const Arguments& arguments, std::size_t at);
  void require(std::string_view group) const;

  const Form& form_;
  std::map<std::string_view, std::vector<std::string>> values_;
};

}  // namespace lora
