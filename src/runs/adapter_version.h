// SPDX-License-Identifier: Apache-2.0
// The adapter files of a version folder, and what its manifest records of them.
#pragma once

#include "io/adapters/adapter_file.h"
#include "io/adapters/adapter_writer.h"
#include "versions/store.h"
#include "versions/version.h"

namespace lora {

// Text: adapter_model.safetensors, adapter_config.json, pytorch_lora_weights.safetensors. Images:
// pytorch_lora_weights.safetensors (diffusers keys) and `info.name`.safetensors (kohya keys).
void write_adapter_files(const Path& folder, const AdapterFile& adapter, const KohyaInfo& info);

// Reads the adapter of a located version from `place`, its folder or its file. What cannot be read
// is an integrity failure (exit code 3) where it was committed, wrong usage (2) where it is
// foreign.
AdapterFile read_located(const LocatedVersion& located, const Path& place);

// Rank, alpha, dtype, targets of an adapter; hashes are left to publish().
WeightsRecord weights_record(const AdapterFile& adapter);

}  // namespace lora
