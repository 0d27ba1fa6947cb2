// SPDX-License-Identifier: Apache-2.0
#include "nn/observe.h"

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

thread_local const Observer* current = nullptr;

}  // namespace

Observing::Observing(Observer observer) : observer_(std::move(observer)), before_(current) {
  current = &observer_;
}

Observing::~Observing() { current = before_; }

at::Tensor observe(std::string_view module, std::string_view part, at::Tensor output) {
  if (current != nullptr) (*current)(join(module, part), output);
  return output;
}

void observe_inside(std::string_view module, std::string_view part,
                    const std::function<at::Tensor()>& output) {
  if (current != nullptr) (*current)(join(module, part), output());
}

}  // namespace lora
