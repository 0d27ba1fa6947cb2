// SPDX-License-Identifier: Apache-2.0
// Lets tests look at the inside of a model: models report the outputs of their modules by name.
// Costs nothing while nobody looks.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <string_view>

namespace lora {

using Observer = std::function<void(const std::string& name, const at::Tensor& output)>;

// Sets the observer of this thread for a scope.
class Observing {
 public:
  explicit Observing(Observer observer);
  ~Observing();
  Observing(const Observing&) = delete;
  Observing& operator=(const Observing&) = delete;

 private:
  Observer observer_;
  const Observer* before_;
};

// True while somebody looks: operators that are joined to one are then run apart, so that every
// module has an output.
bool observing();

// Reports `output` under `module` + `part` and returns it.
at::Tensor observe(std::string_view module, std::string_view part, at::Tensor output);

}  // namespace lora
