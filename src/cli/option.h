// SPDX-License-Identifier: Apache-2.0
// One option of a command, declared once: parsing, help, docs/commands.md and the words of errors
// come from its row. Options that several commands share stand at the end.
#pragma once

#include <string_view>

#include "base/range.h"

namespace lora {

enum class Kind { text, whole, real };  // of a value

struct Option {
  std::string_view name;           // "--base"; without dashes: a word in its place
  std::string_view value = "";     // what the value is called, "DIR"; "" without choices: a flag
  std::string_view help;           // one sentence
  std::string_view choices = "";   // separated by blanks; "" = free
  std::string_view key = "";       // ... or those of the configuration's key of that name
  Kind kind = Kind::text;          // numbers are checked against the range
  Range range = {};                //
  std::string_view standard = "";  // the value where none is given
  std::string_view absent = "";    // what it means to give none, where that is no value
  bool many = false;               // may be given several times
  std::string_view missing = "";   // must be given; what the error says to do
  std::string_view unless = "";    // ... except beside this option
  std::string_view aliases = "";   // other names that are read, separated by blanks
  std::string_view group = "";     // only for a base model of this kind

  constexpr bool is_flag() const { return value.empty() && choices.empty() && key.empty(); }
  constexpr bool is_word() const { return !name.starts_with("--"); }
};

// `missing` of options where the form of the command says enough.
constexpr std::string_view kForm = "form";

// Separated by blanks; "" = every value is allowed.
std::string_view choices_of(const Option& option);

constexpr std::string_view kOfTexts = "texts", kOfImages = "images";

constexpr Option kJson{.name = "--json", .help = "Prints JSON on stdout instead of text."};
constexpr Option kRoot{.name = "--root",
                       .value = "DIR",
                       .help = "Folder of the versions that are named.",
                       .standard = "output"};
constexpr Option kRootOrOutput{.name = kRoot.name,
                               .value = kRoot.value,
                               .help = kRoot.help,
                               .standard = kRoot.standard,
                               .aliases = "--output"};
constexpr Option kBase{.name = "--base",
                       .value = "DIR|FILE",
                       .help = "The base model: a folder, or the single file of an image model.",
                       .missing = "name the base model"};
constexpr Option kVersions{
    .name = "--version",
    .value = "V[:WEIGHT]",
    .help =
        "A version, its folder or an adapter file, with a weight of the adapter; `base` is the "
        "model alone. Several are put side by side.",
    .absent = "base",
    .many = true};
constexpr Option kTemplate{
    .name = "--template",
    .value = "NAME|FILE",
    .help =
        "How prompt and answer are joined: `auto` is the tokenizer's own chat template; else a "
        "built-in name (`lora help config prompt_template`) or a Jinja file.",
    .standard = "auto",
    .group = kOfTexts};
constexpr Option kDevice{.name = "--device",
                         .help = "What computes; `auto`: the GPU where this build can use one.",
                         .choices = "auto cpu cuda",
                         .standard = "auto"};
constexpr Option kDtype{.name = "--dtype",
                        .help =
                            "Number format of the base model; `auto` chooses by its size and "
                            "the processor.",
                        .choices = "auto f32 bf16",
                        .standard = "auto"};
constexpr Option kThreads{.name = "--threads",
                          .value = "N",
                          .help = "CPU threads; 0 is every core this process may use.",
                          .kind = Kind::whole,
                          .range = between(0, 4096),
                          .standard = "0"};

}  // namespace lora
