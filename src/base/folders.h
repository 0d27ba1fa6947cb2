// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

// Names of the folders in `root`, in order, without hidden ones; none where there is no such place.
std::vector<std::string> folders_in(const Path& root);

}  // namespace lora
