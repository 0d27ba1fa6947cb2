// SPDX-License-Identifier: Apache-2.0
// Do the tensors of one module belong together?
#pragma once

#include <string>

#include "io/adapters/adapter_file.h"

namespace lora {

// Brings B of a convolution and the DoRA magnitude to their common shapes. Throws Error, naming the
// module, for shapes that are not those of a LoRA pair (with LoCon core and magnitude).
void check_shapes(AdapterModule& module, const std::string& where);

}  // namespace lora
