// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/peft_config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(lora::fuzz::text_of(data, size));
  lora::fuzz::attempt([&] {
    const lora::PeftConfig config = lora::parse_peft_config(text, "adapter_config.json");
    for (const char* module : {"model.layers.0.self_attn.q_proj", "aaaaaaaaaaaaaaaaaaaaaaaaa!"}) {
      lora::alpha_of(config, module, "adapter_config.json");
      lora::rank_of(config, module, "adapter_config.json");
    }
    lora::parse_peft_config(lora::format_peft_config(config), "again");
  });
  lora::fuzz::attempt([&] { lora::parse_component_config(text, "unet", "metadata"); });
  return 0;
}
