// SPDX-License-Identifier: Apache-2.0
#include "train/step.h"

#include <algorithm>

#include "io/aten.h"

namespace lora {

void add_micro_batch(StepSum& step, const Loss& loss, const LossScaler& scaler) {
  if (loss.count > 0) (scaler.enabled() ? loss.sum * scaler.scale() : loss.sum).backward();
  const at::Tensor sum = loss.sum.detach();
  step.loss = step.loss.defined() ? step.loss + sum : sum;
  step.count += loss.count;
}

at::Tensor divide_and_clip(ParameterPool& pool, double count, const LossScaler& scaler,
                           double max_norm) {
  const double divisor = std::max(count, 1.0) * scaler.scale();
  const at::Tensor norm = pool.gradient_norm() / divisor;
  if (max_norm > 0) {
    pool.scale_gradients((max_norm / (norm + 1e-6)).clamp_max(1.0) / divisor);
  } else {
    pool.scale_gradients(1 / divisor);
  }
  return norm;
}

}  // namespace lora
