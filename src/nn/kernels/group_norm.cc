// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/group_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "io/aten.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kRows = 64;  // positions summed in float32; their sums meet in float64

// x [B, C, H, W] in channels_last memory as B * positions rows of C numbers.
struct Picture {
  explicit Picture(const at::Tensor& x)
      : count(x.size(0)), positions(x.size(2) * x.size(3)), channels(x.size(1)) {}

  std::int64_t chunks() const { return (positions + kRows - 1) / kRows; }

  // body(picture, chunk, shape, first element) for every chunk of rows, on all threads.
  template <class Body>
  void for_chunks(const at::Tensor& x, const Body& body) const {
    at::parallel_for(0, count * chunks(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t picture = i / chunks(), first = i % chunks() * kRows;
        const simd::ChannelRows shape{element_of(x),
                                      static_cast<std::size_t>(std::min(kRows, positions - first)),
                                      static_cast<std::size_t>(channels)};
        body(picture, i, shape, (picture * positions + first) * channels);
      }
    });
  }

  std::int64_t count, positions, channels;
};

// Two sums per channel, [B, 2, C] float64: fill(picture, shape, first element, sums, second sums).
template <class Fill>
at::Tensor sums_of(const Picture& picture, const at::Tensor& x, const Fill& fill) {
  const std::int64_t chunks = picture.chunks(), pair = 2 * picture.channels;
  const at::Tensor parts = at::empty({picture.count * chunks, pair}, at::kFloat);
  picture.for_chunks(x, [&](std::int64_t b, std::int64_t chunk, const simd::ChannelRows& shape,
                            std::int64_t first) {
    float* to = parts.data_ptr<float>() + chunk * pair;
    fill(b, shape, first, to, to + picture.channels);
  });
  at::Tensor sums = at::zeros({picture.count, 2, picture.channels}, at::kDouble);
  const float* part = parts.data_ptr<float>();
  for (std::int64_t chunk = 0; chunk < picture.count * chunks; ++chunk) {
    double* to = sums.data_ptr<double>() + chunk / chunks * pair;
    for (std::int64_t i = 0; i < pair; ++i) to[i] += *part++;
  }
  return sums;
}

// Numbers per channel and picture, [B, C] float32.
struct PerChannel {
  explicit PerChannel(const Picture& picture)
      : values(at::empty({picture.count, picture.channels}, at::kFloat)) {}
  explicit PerChannel(const at::Tensor& x) : values(x) {}

  float* row(std::int64_t b) const { return values.data_ptr<float>() + b * values.size(1); }

  at::Tensor values;
};

// The norm is scale * x + offset = weight * (x - centre) * rstd + bias.
struct Scaling {
  PerChannel scale, offset, centre, rstd;
};

Scaling scaling(const Picture& picture, const at::Tensor& sums, const at::Tensor& shift,
                const at::Tensor& weight, const at::Tensor& bias, std::int64_t groups, double eps) {
  Scaling out{PerChannel(picture), PerChannel(picture), PerChannel(picture), PerChannel(picture)};
  const std::int64_t channels = picture.channels, share = channels / groups;
  const auto positions = static_cast<double>(picture.positions);
  for (std::int64_t b = 0; b < picture.count; ++b) {
    const double* sum = sums.data_ptr<double>() + b * 2 * channels;
    const float* added = shift.numel() > 0 ? shift.data_ptr<float>() + b * channels : nullptr;
    for (std::int64_t first = 0; first < channels; first += share) {
      double mean = 0, square = 0;
      for (std::int64_t c = first; c < first + share; ++c) {
        const double a = added == nullptr ? 0 : added[c];
        mean += sum[c] + a * positions;
        square += sum[channels + c] + a * (2 * sum[c] + a * positions);
      }
      mean /= positions * static_cast<double>(share);
      square /= positions * static_cast<double>(share);
      const double rstd = 1 / std::sqrt(std::max(0.0, square - mean * mean) + eps);
      for (std::int64_t c = first; c < first + share; ++c) {
        const double centre = mean - (added == nullptr ? 0 : added[c]);
        const double scale = rstd * weight.data_ptr<float>()[c];
        out.scale.row(b)[c] = static_cast<float>(scale);
        out.offset.row(b)[c] = static_cast<float>(bias.data_ptr<float>()[c] - centre * scale);
        out.centre.row(b)[c] = static_cast<float>(centre);
        out.rstd.row(b)[c] = static_cast<float>(rstd);
      }
    }
  }
  return out;
}

// dx = scale * dz + by_x * x + constant.
struct Gradient {
  PerChannel by_x, constant;
};

// `sums` of dz and dz * x. With g = weight dz and n = (x - centre) rstd:
// dx = rstd (g - mean(g) - n mean(g n)), means over a group.
Gradient gradient_of(const Picture& picture, const at::Tensor& sums, const Scaling& norm,
                     std::int64_t groups) {
  Gradient out{PerChannel(picture), PerChannel(picture)};
  const std::int64_t channels = picture.channels, share = channels / groups;
  const double elements = static_cast<double>(picture.positions * share);
  for (std::int64_t b = 0; b < picture.count; ++b) {
    const double* sum = sums.data_ptr<double>() + b * 2 * channels;
    const float *scale = norm.scale.row(b), *centre = norm.centre.row(b), *rstd = norm.rstd.row(b);
    for (std::int64_t first = 0; first < channels; first += share) {
      double level = 0, along = 0;  // both times rstd
      for (std::int64_t c = first; c < first + share; ++c) {
        level += scale[c] * sum[c] / elements;
        along += scale[c] * (sum[channels + c] - centre[c] * sum[c]) * rstd[c] / elements;
      }
      for (std::int64_t c = first; c < first + share; ++c) {
        const double by_x = -rstd[c] * along;
        out.by_x.row(b)[c] = static_cast<float>(by_x);
        out.constant.row(b)[c] = static_cast<float>(-level - by_x * centre[c]);
      }
    }
  }
  return out;
}

at::Tensor wide(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

// `shift` without elements: none (a node takes no undefined tensors).
class GroupNormSilu : public torch::autograd::Function<GroupNormSilu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& shift,
                            const at::Tensor& weight, const at::Tensor& bias, std::int64_t groups,
                            double eps, bool silu) {
    const Picture picture(x);
    const at::Tensor sums = sums_of(
        picture, x,
        [&](std::int64_t, const simd::ChannelRows& shape, std::int64_t first, float* sum,
            float* squares) { simd::channel_sums(shape, at_element(x, first), sum, squares); });
    const Scaling norm = scaling(picture, sums, wide(shift), wide(weight), wide(bias), groups, eps);
    at::Tensor y = at::empty_like(x);
    picture.for_chunks(
        x, [&](std::int64_t b, std::int64_t, const simd::ChannelRows& shape, std::int64_t first) {
          simd::channel_apply(shape, silu, at_element(x, first), norm.scale.row(b),
                              norm.offset.row(b), at_element(y, first));
        });
    context->save_for_backward(
        {x, norm.scale.values, norm.offset.values, norm.centre.values, norm.rstd.values});
    context->saved_data["groups"] = groups;
    context->saved_data["silu"] = silu;
    context->saved_data["shift"] = shift.requires_grad();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const Scaling norm{PerChannel(saved[1]), PerChannel(saved[2]), PerChannel(saved[3]),
                       PerChannel(saved[4])};
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    const bool silu = context->saved_data["silu"].toBool();
    const Picture picture(x);
    const at::Tensor sums =
        sums_of(picture, x,
                [&](std::int64_t b, const simd::ChannelRows& shape, std::int64_t first, float* sum,
                    float* product) {
                  simd::channel_grad_sums(shape, silu, at_element(dy, first), at_element(x, first),
                                          norm.scale.row(b), norm.offset.row(b), sum, product);
                });
    const Gradient gradient =
        gradient_of(picture, sums, norm, context->saved_data["groups"].toInt());
    at::Tensor dx = at::empty_like(x);
    picture.for_chunks(
        x, [&](std::int64_t b, std::int64_t, const simd::ChannelRows& shape, std::int64_t first) {
          simd::channel_grad(shape, silu, at_element(dy, first), at_element(x, first),
                             norm.scale.row(b), norm.offset.row(b), gradient.by_x.row(b),
                             gradient.constant.row(b), at_element(dx, first));
        });
    at::Tensor d_shift;
    if (context->saved_data["shift"].toBool()) {
      d_shift = dx.sum({2, 3}, false, at::kFloat).to(dx.scalar_type());
    }
    return {dx, d_shift, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift) {
  const at::Tensor added = shift.defined() ? shift : at::empty({0}, x.options());
  return GroupNormSilu::apply(x.contiguous(at::MemoryFormat::ChannelsLast), added, norm.weight,
                              norm.bias, norm.groups, norm.eps, silu);
}

}  // namespace lora::kernels
