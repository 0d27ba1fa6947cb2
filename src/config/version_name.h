// SPDX-License-Identifier: Apache-2.0
// Names that a version may have. `V` on the command line and init_lora_weights in the file take a
// name, a ref, a path or a keyword, so a name must not be read as one of the others.
#pragma once

#include <string>
#include <string_view>

namespace lora {

// The letters of a name: ASCII letters, digits, '_', '-', '+', '.', and letters of other scripts
// as valid UTF-8; at most 200 bytes; neither '.' nor '-' first. So no '/', ':' (V:WEIGHT), '@',
// blank or control character. "" where it keeps the rules, else what is wrong, to be read after a
// subject: "output_dir: its last part " + "is no name ... (found 'a b', expected ...); choose ...".
std::string spelling_problem(std::string_view name);

// What a reserved word stands for, upper or lower case: base, latest, current, and the
// initialisations of init_lora_weights (true, gaussian, PEFT's others). "" for a free word.
std::string_view reserved_meaning(std::string_view name);

// Both, as spelling_problem().
std::string version_name_problem(std::string_view name);

}  // namespace lora
