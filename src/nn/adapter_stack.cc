// SPDX-License-Identifier: Apache-2.0
#include "nn/adapter_stack.h"

#include <algorithm>

#include "base/error.h"
#include "io/aten.h"

namespace lora {

bool any_active(const AdapterStack& stack) {
  return std::any_of(stack.begin(), stack.end(), [](const Adapter& entry) { return entry.active; });
}

void add_adapter(AdapterStack& stack, Adapter adapter, std::string_view where) {
  std::size_t active = adapter.active, training = adapter.trains;
  bool dora = adapter.active && adapter.magnitude.defined();
  for (const Adapter& entry : stack) {
    active += entry.active;
    training += entry.trains;
    dora = dora || (entry.active && entry.magnitude.defined());
  }
  if (dora && active > 1) {
    fail(where, ": DoRA beside another adapter (found ", active,
         " active adapters, expected 1); use adapters without DoRA");
  }
  if (training > 1) {
    fail(where, ": ", training,
         " adapters would train here (expected at most 1); freeze the others");
  }
  stack.push_back(std::move(adapter));
}

void append_trainable(const AdapterStack& stack, std::vector<at::Tensor>& tensors) {
  for (const Adapter& entry : stack) {
    if (!entry.active || !entry.trains) continue;
    for (const at::Tensor& tensor : {entry.a, entry.b, entry.magnitude}) {
      if (tensor.defined() && tensor.requires_grad()) tensors.push_back(tensor);
    }
  }
}

}  // namespace lora
