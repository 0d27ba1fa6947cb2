// SPDX-License-Identifier: Apache-2.0
// Lets tests look at the inside of a model: models report the outputs of their modules by name.
// Looking changes nothing of what is computed, and costs nothing while nobody looks.
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

// Reports `output` under `module` + `part` and returns it.
at::Tensor observe(std::string_view module, std::string_view part, at::Tensor output);

// Reports what a fused operator computes inside and does not give out: `output` computes it beside
// the operator, only while somebody looks.
void observe_inside(std::string_view module, std::string_view part,
                    const std::function<at::Tensor()>& output);

}  // namespace lora
