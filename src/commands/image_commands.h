// SPDX-License-Identifier: Apache-2.0
// The image half of `lora generate` and `lora eval`.
#pragma once

#include "commands/commands.h"
#include "runs/session.h"

namespace lora {

// `lora generate` on an image base, with the arguments as given.
int generate_images(const Arguments& arguments);

// Fixed-noise loss of the versions on folders of captioned pictures.
int eval_images(const std::string& base, const std::vector<NamedVersion>& versions,
                const std::vector<std::string>& folders, bool json);

}  // namespace lora
