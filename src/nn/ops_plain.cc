// SPDX-License-Identifier: Apache-2.0
#include "nn/ops_plain.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "io/aten.h"

namespace lora::plain {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits that exist at a time: about 32 MiB of float32.
constexpr std::int64_t kChunkElements = std::int64_t{8} << 20;

// Loss and gradient of one chunk of rows, together: the logits are needed only once.
struct ChunkResult {
  at::Tensor loss;      // float32 scalar
  at::Tensor gradient;  // [n, D], dtype of hidden; undefined where not asked for
};

ChunkResult chunk_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                       double softcap, bool want_gradient) {
  at::Tensor logits = at::linear(hidden, weight).to(at::kFloat);
  at::Tensor slope;  // derivative of the cap
  if (softcap > 0) {
    const at::Tensor capped = logits.div(softcap).tanh_();
    if (want_gradient) slope = 1 - capped.square();
    logits = capped * softcap;
  }
  const at::Tensor index = labels.unsqueeze(1);
  const at::Tensor total = logits.logsumexp(1, true);
  ChunkResult result{.loss = (total - logits.gather(1, index)).sum()};
  if (!want_gradient) return result;
  at::Tensor share = (logits - total).exp_();  // softmax
  share.scatter_add_(1, index, at::full_like(index, -1, share.options()));
  if (slope.defined()) share.mul_(slope);
  result.gradient = at::matmul(share.to(weight.scalar_type()), weight);
  return result;
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& labels, double softcap,
                            bool want_gradient) {
    const std::int64_t rows = hidden.size(0);
    const std::int64_t step = std::max<std::int64_t>(1, kChunkElements / weight.size(0));
    at::Tensor sum = at::zeros({}, hidden.options().dtype(at::kFloat));
    at::Tensor gradient = want_gradient ? at::empty_like(hidden) : at::Tensor();
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      const std::int64_t size = std::min(step, rows - begin);
      const ChunkResult chunk = chunk_loss(hidden.narrow(0, begin, size), weight,
                                           labels.narrow(0, begin, size), softcap, want_gradient);
      sum += chunk.loss;
      if (want_gradient) gradient.narrow(0, begin, size).copy_(chunk.gradient);
    }
    if (want_gradient) context->save_for_backward({gradient});
    return sum;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const at::Tensor gradient = context->get_saved_variables()[0];
    return {gradient * outputs[0].to(gradient.scalar_type()), {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(wide.square().mean(-1, true) + eps);
  const at::Tensor factor = offset == 0 ? weight.to(at::kFloat) : weight.to(at::kFloat) + offset;
  return (wide * scale * factor).to(x.scalar_type());
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset) {
  const at::Tensor sum = x + delta;
  return {sum, plain::rms_norm(sum, weight, eps, offset)};
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  return at::layer_norm(x, {weight.size(0)}, weight, bias, eps);
}

std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps) {
  const at::Tensor sum = x + delta;
  return {sum, plain::layer_norm(sum, weight, bias, eps)};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const at::Tensor wide = x.to(at::kFloat);
  const auto halves = wide.chunk(2, -1);
  const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
  return (wide * cos.unsqueeze(2) + turned * sin.unsqueeze(2)).to(x.scalar_type());
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::relu:
      return at::relu(x);
  }
  return x;
}

at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift) {
  const at::Tensor in = shift.defined() ? x + shift.unsqueeze(-1).unsqueeze(-1) : x;
  // libtorch 1.13 sums channels_last bfloat16 in bfloat16 on the CPU: results are off by 80 %.
  const bool widen = in.is_cpu() && in.scalar_type() == at::kBFloat16;
  const auto wide = [&](const at::Tensor& t) { return widen ? t.to(at::kFloat) : t; };
  const at::Tensor y =
      at::group_norm(wide(in), norm.groups, wide(norm.weight), wide(norm.bias), norm.eps);
  return (silu ? at::silu(y) : y).to(in.scalar_type());
}

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  return plain::activate(gate, activation) * up;
}

at::Tensor visible(const AttentionMask& mask, std::int64_t queries, std::int64_t keys,
                   at::Device device) {
  at::Tensor seen;
  const auto also = [&](const at::Tensor& more) { seen = seen.defined() ? seen & more : more; };
  const at::TensorOptions options = at::TensorOptions(at::kLong).device(device);
  const at::Tensor query = at::arange(mask.past, mask.past + queries, options).unsqueeze(1);
  const at::Tensor key = at::arange(keys, options).unsqueeze(0);
  if (mask.causal && queries > 1) also(key <= query);
  if (mask.window > 0 && keys > mask.window) also(key > query - mask.window);
  if (seen.defined()) seen = seen.unsqueeze(0).unsqueeze(0);
  if (mask.documents.defined()) {
    const at::Tensor of_keys = mask.documents;
    const at::Tensor of_queries = of_keys.narrow(1, of_keys.size(1) - queries, queries);
    also((of_queries.unsqueeze(2) == of_keys.unsqueeze(1)).unsqueeze(1));
  }
  return seen;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap) {
  const std::int64_t rows = q.size(0), queries = q.size(1), heads = q.size(2), width = q.size(3);
  const std::int64_t keys = k.size(1), groups = k.size(2);
  // Query heads that share a key head become rows of one product.
  const at::Tensor tall = q.transpose(1, 2).reshape({rows, groups, -1, width});
  const at::Tensor turned = k.permute({0, 2, 3, 1});
  at::Tensor scores = at::matmul(tall, turned).to(at::kFloat) * scale;
  if (softcap > 0) scores = (scores / softcap).tanh() * softcap;
  const at::Tensor seen = visible(mask, queries, keys, q.device());
  if (seen.defined()) {
    scores = scores.view({rows, heads, queries, keys})
                 .masked_fill(seen.logical_not(), -std::numeric_limits<float>::infinity());
  }
  const at::Tensor weights = scores.softmax(-1).to(q.scalar_type()).view({rows, groups, -1, keys});
  const at::Tensor mixed = at::matmul(weights, v.transpose(1, 2));
  return mixed.view({rows, heads, queries, width}).transpose(1, 2).contiguous();
}

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap) {
  const bool want_gradient = at::GradMode::is_enabled() && hidden.requires_grad();
  return LinearCrossEntropy::apply(hidden, weight, labels, softcap, want_gradient);
}

}  // namespace lora::plain
