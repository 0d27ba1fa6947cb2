// SPDX-License-Identifier: Apache-2.0
#include "data/captions.h"
#include "tests/fuzz/fuzz.h"

// metadata.jsonl, a text file beside a picture, and what is done with a caption.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = lora::fuzz::text_of(data, size);
  const auto& folder = lora::fuzz::folder();
  lora::fuzz::attempt([&] { lora::CaptionTable::read(folder.file("metadata.jsonl", text)); });
  lora::fuzz::attempt([&] { lora::CaptionTable::read(folder.file("metadata.csv", text)); });
  folder.file("a.txt", text);
  lora::fuzz::attempt([&] {
    const auto caption = lora::sidecar_caption(folder.path() / "a.png");
    if (caption) lora::apply_rules(caption->text, {.trigger = "zyx"});
  });
  return 0;
}
