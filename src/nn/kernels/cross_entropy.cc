// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "io/aten.h"
#include "nn/kernels/product.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits that exist at a time: 28 MiB of float32, below the size from which the C library gives
// memory back to the system after every use. The head is read twice a chunk.
constexpr std::int64_t kChunkElements = std::int64_t{7} << 20;

// Losses of the rows of one chunk; with `gradient`, row i of d(hidden) too.
void chunk_loss(const at::Tensor& hidden, const at::Tensor& weight, const std::int64_t* labels,
                float softcap, float* logits, double* losses, const at::Tensor& gradient) {
  const std::int64_t rows = hidden.size(0), words = weight.size(0);
  const Matrix scores{logits, at::kFloat, rows, words, words, 1};
  multiply(matrix(hidden), matrix(weight).transposed(), scores);
  const simd::Element element = element_of(hidden);
  at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = logits + i * words;
      losses[i] = simd::cross_entropy_row(element, static_cast<std::size_t>(words), row,
                                          static_cast<std::size_t>(labels[i]), softcap,
                                          gradient.defined() ? row : nullptr);
    }
  });
  if (!gradient.defined()) return;
  // The gradient of a row lies at the start of that row's logits, in hidden's dtype.
  const std::int64_t step = words * (element == simd::Element::f32 ? 1 : 2);
  const Matrix d_logits{logits, hidden.scalar_type(), rows, words, step, 1};
  multiply(d_logits, matrix(weight), matrix(gradient));
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& labels, double softcap,
                            bool want_gradient) {
    const std::int64_t rows = hidden.size(0), words = weight.size(0);
    const std::int64_t step = std::clamp<std::int64_t>(kChunkElements / words, 16, 1024);
    const at::Tensor logits = at::empty({std::min(step, rows), words}, at::kFloat);
    const at::Tensor gradient = want_gradient ? at::empty_like(hidden) : at::Tensor();
    std::vector<double> losses(static_cast<std::size_t>(rows));
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      const std::int64_t size = std::min(step, rows - begin);
      chunk_loss(hidden.narrow(0, begin, size), weight, labels.data_ptr<std::int64_t>() + begin,
                 static_cast<float>(softcap), logits.data_ptr<float>(), losses.data() + begin,
                 want_gradient ? gradient.narrow(0, begin, size) : gradient);
    }
    double total = 0;
    for (const double loss : losses) total += loss;
    if (want_gradient) context->save_for_backward({gradient});
    return at::full({}, total, at::TensorOptions(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const at::Tensor gradient = context->get_saved_variables()[0];
    return {gradient * outputs[0].to(at::kFloat), {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap) {
  const std::int64_t words = weight.size(0);
  TORCH_CHECK(((labels >= 0) & (labels < words)).all().item<bool>(),
              "label outside the vocabulary");
  const bool want_gradient = at::GradMode::is_enabled() && hidden.requires_grad();
  return LinearCrossEntropy::apply(hidden.contiguous(), weight.contiguous(), labels.contiguous(),
                                   softcap, want_gradient);
}

}  // namespace lora::kernels
