// SPDX-License-Identifier: Apache-2.0
#include "config/version_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/shown.h"
#include "base/text.h"
#include "base/utf8.h"
#include "config/dialect.h"

namespace lora {
namespace {

constexpr std::size_t kLongest = 200;  // of 255: a file in the folder is named NAME.safetensors

struct Reserved {
  std::string_view name, meaning;
};

constexpr Reserved kReserved[] = {
    {"base", "the base model without an adapter"},
    {"latest", "the version that was committed last"},
    {"current", "the version in use"},
    {"true", "an initialisation of init_lora_weights"},
    {"false", "an initialisation of init_lora_weights"},
    {"gaussian", "an initialisation of init_lora_weights"},
    {"pytorch_lora_weights", "the adapter's file, beside which one of the version's name lies"},
    {"adapter_model", "the adapter's file, beside which one of the version's name lies"},
};

// Characters above ASCII that nobody sees: C1 controls, blanks, marks of direction and width.
struct Range {
  std::uint32_t first, last;
};
constexpr Range kUnseen[] = {{0x80, 0xA0},     {0xAD, 0xAD},     {0x1680, 0x1680},
                             {0x180E, 0x180E}, {0x2000, 0x200F}, {0x2028, 0x202F},
                             {0x205F, 0x206F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

bool is_allowed(std::uint32_t c) {
  constexpr std::string_view kSigns = "_-+.";
  if (c < 0x80) {
    const char ascii = static_cast<char>(c);
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kSigns.find(ascii) != std::string_view::npos;
  }
  return std::ranges::none_of(kUnseen, [c](const Range& r) { return c >= r.first && c <= r.last; });
}

}  // namespace

std::string spelling_problem(std::string_view name) {
  if (const auto at = first_invalid_utf8(name)) {
    return fmt::format(
        "is not valid UTF-8 (found byte 0x{:02X} at position {}); choose another, e.g. my_v1",
        static_cast<unsigned char>(name[*at]), *at + 1);
  }
  if (name.size() > kLongest) {
    return fmt::format("is too long for a name (found {} bytes, expected at most {}); shorten it",
                       name.size(), kLongest);
  }
  bool good = !name.empty() && name.front() != '.' && name.front() != '-';
  for (std::size_t at = 0; at < name.size();) good = is_allowed(next_code_point(name, at)) && good;
  if (good) return "";
  return fmt::format(
      "is no name for a version (found '{}', expected letters, digits, '_', '-', '+' and '.', the "
      "first one neither '-' nor '.'); choose another, e.g. my_v1",
      shown(name));
}

std::string_view reserved_meaning(std::string_view name) {
  const std::string word = lower_ascii(name);
  for (const Reserved& row : kReserved) {
    if (row.name == word) return row.meaning;
  }
  return is_foreign_initialisation(word) ? "an initialisation of PEFT" : "";
}

std::string version_name_problem(std::string_view name) {
  const std::string problem = spelling_problem(name);
  const std::string_view meaning = reserved_meaning(name);
  if (!problem.empty() || meaning.empty()) return problem;
  return fmt::format(
      "is a reserved word (found '{}', which stands for {}); choose another, e.g. "
      "{}_v1",
      name, meaning, name);
}

}  // namespace lora
