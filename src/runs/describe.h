// SPDX-License-Identifier: Apache-2.0
// What a file or folder is, as JSON: adapters, base models, GGUF files, version folders.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/files.h"
#include "io/adapters/adapter_file.h"

namespace lora {

// An adapter: dialect, kind, modules, ranks, alphas, scales, dtypes, norms of dW per component
// and per target, metadata, tensors that are not LoRA, warnings.
nlohmann::ordered_json describe_adapter(const AdapterFile& adapter);

// Any file or folder: {"type": "adapter" | "version" | "gguf" | "language-model" | "diffusers" |
// "checkpoint" | "tensors", ...}. Throws Error for what is not one of these.
nlohmann::ordered_json describe(const Path& path);

}  // namespace lora
