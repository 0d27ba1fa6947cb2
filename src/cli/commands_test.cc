// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <regex>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "config/fields.h"

namespace lora {
namespace {

using testing::HasSubstr;

const Path kRoot = LORA_SOURCE_DIR;

std::string value_for(const Option& option) {
  if (!choices_of(option).empty()) return split(choices_of(option), ' ').back();
  if (option.kind == Kind::text) return "some text";
  if (option.range.high > 1e9) return "7";
  return option.kind == Kind::whole ? std::to_string(static_cast<std::int64_t>(option.range.high))
                                    : join(option.range.high);
}

void add(const Option& option, std::string_view name, Arguments& words) {
  if (!option.is_word()) words.emplace_back(name);
  if (!option.is_flag()) words.push_back(value_for(option));
}

// What must be given, and the option called `name`.
Arguments words_with(const Form& form, const Option& option, std::string_view name) {
  Arguments words;
  for (const Option& other : form.options) {
    if (!other.missing.empty() && &other != &option) add(other, other.name, words);
  }
  add(option, name, words);
  return words;
}

std::string error_of(std::string_view form, const Arguments& words) {
  try {
    CommandLine(form, words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    return error.what();
  }
  return "no error";
}

std::vector<Form> all_forms() {
  std::vector<Form> all;
  for (const Command& command : commands()) {
    all.insert(all.end(), command.forms.begin(), command.forms.end());
  }
  return all;
}

TEST(Commands, EveryDeclaredOptionIsReadAndShown) {
  for (const Form& form : all_forms()) {
    const std::string help = help_text(split(form.name, ' ').front());
    for (const Option& option : form.options) {
      std::vector<std::string> names = {std::string(option.name)};
      if (!option.aliases.empty()) names.push_back(std::string(option.aliases));
      for (const std::string& name : names) {
        const CommandLine line(form.name, words_with(form, option, name));
        EXPECT_TRUE(line.given(option.name)) << form.name << " " << name;
        EXPECT_EQ(line.text(option.name), option.is_flag() ? "true" : value_for(option)) << name;
        EXPECT_THAT(help, HasSubstr(option.is_word() ? std::string(option.value) : name));
      }
      EXPECT_THAT(option.help, testing::EndsWith(".")) << form.name << " " << option.name;
    }
  }
}

TEST(Commands, NothingElseIsRead) {
  for (const Form& form : all_forms()) {
    for (const Option& option : form.options) {
      if (option.is_word()) continue;
      const std::string wrong = std::string(option.name) + "x";
      EXPECT_EQ(error_of(form.name, {wrong}),
                join("lora ", form.name, ": ", wrong, ": unknown option; did you mean '",
                     option.name, "'?"));
    }
  }
}

// Nothing is parsed and ignored: the source of the commands asks for every option.
TEST(Commands, EveryDeclaredOptionIsUsed) {
  std::map<std::string, std::string> sources;
  for (const auto& file : std::filesystem::directory_iterator(kRoot / "src/commands")) {
    const std::string name = file.path().stem().string();
    if (file.path().extension() == ".cc") sources[name] = read_file(file.path());
  }
  const std::string session = read_file(kRoot / "src/commands/session_options.h");
  for (const Command& command : commands()) {
    const std::string verb(command.name);
    std::string source = sources[verb == "label" ? "prepare" : verb];
    if (source.find("session_options(") != std::string::npos) source += session;
    for (const char* part : {"_text", "_image", "_images"}) source += sources[verb + part];
    for (const Form& form : command.forms) {
      for (const Option& option : form.options) {
        EXPECT_THAT(source, HasSubstr(join('"', option.name, '"'))) << form.name;
      }
    }
  }
}

TEST(Commands, ChoicesAreThoseOfTheConfiguration) {
  const auto choices = [](std::string_view form, std::string_view name) {
    for (const Option& option : form_called(form).options) {
      if (option.name == name) return choices_of(option);
    }
    return std::string_view("no such option");
  };
  EXPECT_EQ(choices("generate", "--sampler"),
            "ddim euler euler_a dpmpp_2m dpmpp_2m_karras pndm");
  EXPECT_EQ(choices("eval", "--dataset-format"), find_field("dataset_format")->choices);
  EXPECT_EQ(choices("prepare text", "--format"), find_field("dataset_format")->choices);
}

struct Wrong {
  const char* form;
  Arguments words;
  const char* message;
};

TEST(Commands, EveryMistakeHasItsText) {
  const std::vector<Wrong> all = {
      {"log", {"--json=yes"}, "lora log: --json: takes no value (found 'yes'); leave it out"},
      {"log",
       {"--root"},
       "lora log: --root: its value is missing (found nothing); write "
       "--root=DIR"},
      {"log",
       {"--output", "--json"},
       "lora log: --output: its value is missing (found '--json'); write --output=DIR"},
      {"log",
       {"--root", "a", "--output", "b"},
       "lora log: --root: given twice (found 'a' and 'b'); keep one"},
      {"bench text",
       {"--steps", "0"},
       "lora bench text: --steps: out of range (found '0', expected a whole number 1 to 1000000); "
       "`lora help bench` shows the form"},
      {"bench text",
       {"--labelled", "nan"},
       "lora bench text: --labelled: out of range (found 'nan', expected a number 0 to 1); `lora "
       "help bench` shows the form"},
      {"bench image",
       {"--batch", "4.5"},
       "lora bench image: --batch: out of range (found '4.5', expected a whole number 1 to 4096); "
       "`lora help bench` shows the form"},
      {"bench image",
       {"--preset", "sd16"},
       "lora bench image: --preset 'sd16': unknown (known: sd15, sd21, sdxl); did you mean "
       "'sd15'?"},
      {"label",
       {"--input", "a", "--output", "b.csv", "--resolution", "64"},
       "lora label: --resolution: unknown option"},
  };
  for (const Wrong& wrong : all) EXPECT_EQ(error_of(wrong.form, wrong.words), wrong.message);
}

TEST(Commands, OptionsOfTheOtherKindOfModelAreRefused) {
  const CommandLine line("generate", {"--base", "b", "--prompt", "p", "--steps=3"});
  EXPECT_EQ(line.whole("--steps"), 3);
  EXPECT_EQ(line.real("--guidance"), 7.5);
  const auto error = [&](std::string_view group) -> std::string {
    try {
      line.settle(group);
    } catch (const Error& wrong) {
      return wrong.what();
    }
    return "no error";
  };
  EXPECT_EQ(error(kOfTexts),
            "lora generate: --steps: is for images (found a --base for texts); leave it out");
  EXPECT_EQ(error(kOfImages),
            "lora generate: --output is missing; name the PNG, or the folder, to write");
}

// Lines of the documents that call the program, with those they go on in.
std::vector<std::string> documented_uses() {
  std::vector<std::string> uses;
  std::vector<Path> files = {kRoot / "README.md", kRoot / "README.zh-CN.md"};
  for (const auto& file : std::filesystem::directory_iterator(kRoot / "docs")) {
    if (file.path().extension() == ".md") files.push_back(file.path());
  }
  const std::regex use("`?\\blora ((?:[a-z]+ )[^`\\n]*)");
  for (const Path& file : files) {
    const std::string text = read_file(file);
    for (std::sregex_iterator at(text.begin(), text.end(), use), end; at != end; ++at) {
      uses.push_back((*at)[1]);
    }
  }
  return uses;
}

TEST(Commands, EveryDocumentedOptionExists) {
  const std::regex option("--[a-z][a-z-]*");
  int seen = 0;
  for (const std::string& use : documented_uses()) {
    const std::vector<std::string> words = split(use, ' ');
    const auto verb = std::ranges::find(commands(), words[0], &Command::name);
    if (verb == commands().end() || verb->name == "help") continue;
    const std::string help = help_text(verb->name) + " --help";
    for (std::sregex_iterator at(use.begin(), use.end(), option), end; at != end; ++at, ++seen) {
      EXPECT_THAT(help, HasSubstr(at->str())) << "lora " << use;
    }
  }
  EXPECT_GT(seen, 50);
}

}  // namespace
}  // namespace lora
