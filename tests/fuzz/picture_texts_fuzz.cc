// SPDX-License-Identifier: Apache-2.0
#include "data/captions.h"
#include "tests/fuzz/fuzz.h"

// Text chunks, EXIF, IPTC and XMP of a picture of any kind.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = lora::fuzz::text_of(data, size);
  const lora::Path file = lora::fuzz::folder().file("a.png", text);
  lora::embedded_caption(file, {});
  lora::embedded_caption(file, {{"parameters", std::string(text)}});
  return 0;
}
