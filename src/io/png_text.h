// SPDX-License-Identifier: Apache-2.0
// Text chunks of PNG files (PNG specification, third edition, 11.3.3). No libtorch here.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace lora {

// The file with one uncompressed text chunk for each keyword, in front of the picture's data: tEXt
// for ASCII, iTXt for the rest, as WebUIs write them (compressed ones are not read by all).
// Keywords: 1 to 79 ASCII characters. Throws Error for bytes that are no PNG.
std::string with_png_text(std::string_view png, const std::map<std::string, std::string>& text);

}  // namespace lora
