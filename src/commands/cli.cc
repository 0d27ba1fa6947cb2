// SPDX-License-Identifier: Apache-2.0
#include "commands/cli.h"

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What was left over: an unknown option, or a word too many.
void refuse_extras(const CLI::App& app, const std::string& verb) {
  for (const std::string& extra : app.remaining()) {
    if (extra.starts_with("-")) {
      fail_usage("lora ", verb, ": ", extra, ": unknown option",
                 did_you_mean(extra, option_names(app)));
    }
    fail_usage("lora ", verb, ": '", extra, "' is one word too many; put quotes around a text ",
               "with blanks (`lora help ", verb, "` shows the form)");
  }
}

}  // namespace

void parse_arguments(CLI::App& app, const std::string& verb, const Arguments& arguments) {
  app.set_help_flag();  // `lora VERB --help` is answered by main.cc
  app.allow_extras();   // so that the suggestion below is ours
  Arguments reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    refuse_extras(app, verb);  // --confg explains why --config is missing
    fail_usage("lora ", verb, ": ", error.what(), "; `lora help ", verb, "` shows the form");
  }
  refuse_extras(app, verb);
}

}  // namespace lora
