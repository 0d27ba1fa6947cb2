// SPDX-License-Identifier: Apache-2.0
// The one precompiled header. Not torch/torch.h: its inline code costs every file 5 s of compile
// time. Sources still include what they use.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
