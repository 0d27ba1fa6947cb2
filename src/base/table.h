// SPDX-License-Identifier: Apache-2.0
// Table: rows of {name, help, ...}; the only extension mechanism. An explicit array, so that the
// list on one screen is the documentation.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace lora {

template <typename Row>
std::vector<std::string> names_of(std::span<const Row> table) {
  std::vector<std::string> names;
  for (const Row& row : table) names.emplace_back(row.name);
  return names;
}

// The row called `name`, or nullptr.
template <typename Row>
const Row* find_row(std::span<const Row> table, std::string_view name) {
  for (const Row& row : table) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// The row called `name`. Throws Error (usage): "optimizer 'adamv': unknown (known: ...)".
template <typename Row>
const Row& row_of(std::span<const Row> table, std::string_view what, std::string_view name) {
  if (const Row* row = find_row(table, name)) return *row;
  const std::vector<std::string> names = names_of(table);
  fail_usage(what, " '", name, "': unknown (known: ", join_words(names), ")",
             did_you_mean(name, names));
}

}  // namespace lora
