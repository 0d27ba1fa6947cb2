// SPDX-License-Identifier: Apache-2.0
// The one precompiled header. Not torch/torch.h nor ATen/ATen.h: their inline code costs every file
// seconds of compile time (io/aten.h). Sources still include what they use.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "io/aten.h"
