// SPDX-License-Identifier: Apache-2.0
#include "nn/checkpoint.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <mutex>

#include "io/aten.h"
#include "nn/layer.h"

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor random_state(at::Device device) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_random_state(at::Device device, const at::Tensor& state) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// What the second run must find as the first one did.
struct Scene : torch::CustomClassHolder {
  Body body;
  bool training = false;
  at::Tensor random;  // state of the generator; undefined outside training (nothing is drawn)
};

at::Tensor run_again(const Scene& scene, const at::Tensor& x) {
  const TrainingMode mode(scene.training);
  const at::AutoGradMode record(true);
  if (!scene.random.defined()) return scene.body(x);
  const at::Tensor now = random_state(x.device());
  set_random_state(x.device(), scene.random);
  at::Tensor y = scene.body(x);
  set_random_state(x.device(), now);
  return y;
}

class Checkpoint : public torch::autograd::Function<Checkpoint> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            at::TensorList parameters, const c10::intrusive_ptr<Scene>& scene) {
    variable_list saved = {x};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(saved);
    context->saved_data["scene"] = c10::IValue::make_capsule(scene);
    return scene->body(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    variable_list inputs = context->get_saved_variables();
    const auto capsule = context->saved_data["scene"].toCapsule();
    const bool want_x = inputs[0].requires_grad();
    inputs[0] = inputs[0].detach().requires_grad_(want_x);
    const at::Tensor y = run_again(static_cast<const Scene&>(*capsule), inputs[0]);
    variable_list wanted(inputs.begin() + (want_x ? 0 : 1), inputs.end());
    variable_list gradients = torch::autograd::grad({y}, wanted, {outputs[0]}, /*retain_graph=*/{},
                                                    /*create_graph=*/false, /*allow_unused=*/true);
    if (!want_x) gradients.insert(gradients.begin(), at::Tensor());
    gradients.emplace_back();  // the scene
    return gradients;
  }
};

}  // namespace

at::Tensor checkpoint(const Body& body, const at::Tensor& x,
                      const std::vector<at::Tensor>& parameters) {
  bool needed = x.requires_grad();
  for (const at::Tensor& parameter : parameters) needed |= parameter.requires_grad();
  if (!needed || !at::GradMode::is_enabled()) return body(x);
  const auto scene = c10::make_intrusive<Scene>();
  scene->body = body;
  scene->training = training_mode();
  if (scene->training) scene->random = random_state(x.device());
  return Checkpoint::apply(x, at::TensorList(parameters), scene);
}

}  // namespace lora
