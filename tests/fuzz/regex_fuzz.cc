// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"
#include "base/utf8.h"
#include "tests/fuzz/fuzz.h"

// The first line is a pattern, the rest a text.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all = lora::fuzz::text_of(data, size);
  if (lora::first_invalid_utf8(all)) return 0;
  const std::size_t end = std::min(all.find('\n'), all.size());
  const std::string_view pattern = all.substr(0, end), text = all.substr(std::min(end + 1, all.size()));
  lora::fuzz::attempt([&] {
    lora::Regex(pattern, "target_modules", "mend it").matches(text);
  });
  lora::fuzz::attempt([&] {
    const lora::Regex regex(pattern, "a.json", "mend it", lora::RegexDialect::oniguruma);
    for (std::size_t at = 0; const auto range = regex.find(text, at); at = range->end) {
      if (range->end <= at) break;
    }
  });
  return 0;
}
