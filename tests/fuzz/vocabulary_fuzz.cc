// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"
#include "tokenizers/tokenizer.h"

// vocab.json, merges.txt, added_tokens.json and tokenizer_config.json, with a zero byte between.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = lora::fuzz::text_of(data, size);
  for (const char* name :
       {"vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"}) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    lora::fuzz::folder().file(name, end == 0 ? "{}" : rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  lora::fuzz::attempt([&] {
    const auto tokenizer = lora::Tokenizer::load(lora::fuzz::folder().path());
    tokenizer->decode(tokenizer->encode("Hello, 12 w\u00f6rlds!", {true, true}));
  });
  return 0;
}
