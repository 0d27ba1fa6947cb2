// SPDX-License-Identifier: Apache-2.0
// Small helpers for words and messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora {

// Levenshtein distance with transpositions counted as one edit.
int edit_distance(std::string_view a, std::string_view b);

// "; did you mean 'rank'?" for the nearest candidate within a third of the word, else "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

std::vector<std::string> split(std::string_view text, char separator);
std::string trim(std::string_view text);
std::string lower_ascii(std::string_view text);
// "a, b, c"
std::string join_words(const std::vector<std::string>& words, std::string_view separator = ", ");
// "1 h 02 min", "3 min 20 s", "4.2 s"
std::string human_seconds(double seconds);

}  // namespace lora
