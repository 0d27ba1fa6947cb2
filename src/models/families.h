// SPDX-License-Identifier: Apache-2.0
// One loader a file of language models; the table is in models.cc.
#pragma once

#include <memory>

#include "models/decoder.h"
#include "models/loader.h"

namespace lora {

std::unique_ptr<CausalLM> load_llama(Loader& loader);  // llama, mistral, qwen2, qwen3
std::unique_ptr<CausalLM> load_gemma2(Loader& loader);
std::unique_ptr<CausalLM> load_gpt2(Loader& loader);

}  // namespace lora
