// SPDX-License-Identifier: Apache-2.0
// Help for a terminal and for a page of Markdown.
#pragma once

#include <string>
#include <string_view>

namespace lora {

// The words of `text` in lines of at most `width` columns, each after `indent` blanks and with its
// line's end.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width = 96);

// For a cell of a table in Markdown.
std::string table_cell(std::string_view text);

}  // namespace lora
