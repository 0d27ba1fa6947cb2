// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"
#include "tests/fuzz/fuzz.h"

// The lines up to an empty one are the file, those behind it overrides.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(lora::fuzz::text_of(data, size));
  const std::size_t end = std::min(text.find("\n\n"), text.size());
  std::vector<std::string> overrides;
  if (end < text.size()) overrides.push_back(text.substr(end + 2));
  lora::fuzz::attempt([&] { lora::parse_config(text.substr(0, end), "a.yaml", overrides); });
  return 0;
}
