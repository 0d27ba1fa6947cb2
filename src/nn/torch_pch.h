// SPDX-License-Identifier: Apache-2.0
// The one precompiled header. Sources still include what they use.
#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
