// SPDX-License-Identifier: Apache-2.0
#include "data/caption_rules.h"
#include "data/captions.h"
#include "tests/fuzz/fuzz.h"

// Tables, a text or JSON file beside a picture, and what is done with a caption.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = lora::fuzz::text_of(data, size);
  const auto& folder = lora::fuzz::folder();
  lora::fuzz::attempt([&] { lora::CaptionTable::read(folder.file("metadata.jsonl", text)); });
  lora::fuzz::attempt([&] { lora::CaptionTable::read(folder.file("metadata.csv", text)); });
  lora::fuzz::attempt([&] { lora::CaptionTable::read(folder.file("meta.json", text)); });
  for (const char* name : {"a.txt", "a.json"}) {
    lora::fuzz::attempt([&] {
      lora::ImageFile picture;
      picture.beside = {folder.file(name, text)};
      const auto caption = lora::sidecar_caption(picture);
      if (caption) lora::apply_rules(caption->text, {.trigger = "zyx"});
    });
  }
  return 0;
}
