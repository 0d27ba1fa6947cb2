// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "io/adapters/cloneofsimo.h"
#include "io/adapters/dialects.h"
#include "io/adapters/kohya_names.h"
#include "tests/fuzz/fuzz.h"

// Every line is the name of a tensor.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const std::string& name : lora::split(lora::fuzz::text_of(data, size), '\n')) {
    lora::foreign_adapter(name);
    for (const lora::KeyDialect& dialect : lora::key_dialects()) {
      lora::fuzz::attempt([&] {
        const auto parsed = dialect.parse(name);
        if (parsed) lora::kohya_of_path(parsed->module, true);
      });
    }
    lora::fuzz::attempt([&] { lora::cloneofsimo_key(name, {{"unet", name}}, "a.safetensors"); });
    lora::fuzz::attempt([&] { lora::kohya_of_path(name, true); });
  }
  return 0;
}
