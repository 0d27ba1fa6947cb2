// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "data/text_dataset.h"

namespace lora {

// The values of --column: "instruction=question" gives the column `question` the role
// `instruction`. `form` stands for the command in messages.
inline ColumnNames columns_of(std::string_view form, const std::vector<std::string>& values) {
  ColumnNames columns;
  for (const std::string& text : values) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      fail_usage("lora ", form, ": --column: '", text, "' has no role and name (expected ",
                 "ROLE=NAME, such as instruction=question); see `lora help config columns`");
    }
    columns[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return columns;
}

}  // namespace lora
