// SPDX-License-Identifier: Apache-2.0
// The arithmetic of one optimizer step, as the trainer and `lora bench` do it: gradients are sums
// over the micro-batches, divided once by the number of targets.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/model.h"
#include "train/optimizers.h"
#include "train/precision.h"

namespace lora {

struct StepSum {
  at::Tensor loss;   // sum over the micro-batches, detached; undefined before the first
  double count = 0;  // targets
};

// Backward of one micro-batch, times the loss scale; its gradients are added to those that are
// there.
void add_micro_batch(StepSum& step, const Loss& loss, const LossScaler& scaler);

// Gradients of the mean loss (of the sum where there is no target), without the loss scale, clipped
// to `max_norm` where that is not 0. Returns their norm before clipping, float64 on the pool's
// device.
at::Tensor divide_and_clip(ParameterPool& pool, double count, const LossScaler& scaler,
                           double max_norm);

}  // namespace lora
