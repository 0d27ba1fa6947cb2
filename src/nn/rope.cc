// SPDX-License-Identifier: Apache-2.0
#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/table.h"
#include "io/aten.h"

namespace lora {
namespace {

struct Request {
  const Rope& rope;
  std::int64_t dim;
  std::int64_t max_positions;
  std::int64_t length;
};

// 1 / theta^(2i/d), in float32 as the reference computes it.
at::Tensor inverse_powers(double theta, std::int64_t dim) {
  const at::Tensor exponents = at::arange(0, dim, 2, at::kLong).to(at::kFloat) / dim;
  return 1.0 / at::pow(theta, exponents);
}

RopeFrequencies plain_rope(const Request& request) {
  return {inverse_powers(request.rope.theta, request.dim)};
}

RopeFrequencies linear_rope(const Request& request) {
  return {inverse_powers(request.rope.theta, request.dim) / request.rope.factor};
}

RopeFrequencies dynamic_rope(const Request& request) {
  const double factor = request.rope.factor, d = static_cast<double>(request.dim);
  const double most = static_cast<double>(request.max_positions);
  const double length = static_cast<double>(std::max(request.length, request.max_positions));
  const double stretch = factor * length / most - (factor - 1);
  return {inverse_powers(request.rope.theta * std::pow(stretch, d / (d - 2)), request.dim)};
}

// Long waves are slowed by `factor`, short ones kept, those between are blended.
RopeFrequencies llama3_rope(const Request& request) {
  const Rope& rope = request.rope;
  const double old = static_cast<double>(rope.original_positions);
  const at::Tensor inverse = inverse_powers(rope.theta, request.dim);
  const at::Tensor wave = 2 * std::numbers::pi / inverse;
  const at::Tensor is_long = wave > old / rope.low_frequency;
  const at::Tensor is_short = wave < old / rope.high_frequency;
  const at::Tensor blend =
      (old / wave - rope.low_frequency) / (rope.high_frequency - rope.low_frequency);
  const at::Tensor kept = at::where(is_long, inverse / rope.factor, inverse);
  const at::Tensor blended = (1 - blend) * kept / rope.factor + blend * kept;
  return {at::where(is_long | is_short, kept, blended)};
}

// Dimension whose wave turns `rotations` times within the original length.
double yarn_dimension(const Request& request, double rotations) {
  const double old = static_cast<double>(request.rope.original_positions);
  return static_cast<double>(request.dim) * std::log(old / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(request.rope.theta));
}

double yarn_amplitude(const Rope& rope) {
  const auto of = [&](double scale) {
    return rope.factor <= 1 ? 1.0 : 0.1 * scale * std::log(rope.factor) + 1.0;
  };
  if (rope.attention_factor) return *rope.attention_factor;
  if (rope.mscale != 0 && rope.mscale_all != 0) return of(rope.mscale) / of(rope.mscale_all);
  return of(1);
}

RopeFrequencies yarn_rope(const Request& request) {
  const Rope& rope = request.rope;
  double low = yarn_dimension(request, rope.beta_fast);
  double high = yarn_dimension(request, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(request.dim - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp =
      ((at::arange(request.dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor keep = 1 - ramp;
  const at::Tensor inverse = inverse_powers(rope.theta, request.dim);
  return {inverse / rope.factor * (1 - keep) + inverse * keep, yarn_amplitude(rope)};
}

struct RopeRow {
  std::string_view name;
  RopeFrequencies (*frequencies)(const Request&);
};

constexpr RopeRow kRopes[] = {
    {"default", plain_rope}, {"linear", linear_rope}, {"dynamic", dynamic_rope},
    {"llama3", llama3_rope}, {"yarn", yarn_rope},
};

}  // namespace

void check_rope(const Rope& rope, const std::string& where) {
  const std::span<const RopeRow> table = kRopes;
  if (find_row(table, rope.type) != nullptr) return;
  fail(where, ": rope type '", rope.type, "': unknown (known: ", join_words(names_of(table)), ")",
       did_you_mean(rope.type, names_of(table)));
}

RopeFrequencies rope_frequencies(const Rope& rope, std::int64_t head_dim,
                                 std::int64_t max_positions, std::int64_t length) {
  const RopeRow& row = row_of(std::span<const RopeRow>(kRopes), "rope type", rope.type);
  return row.frequencies({rope, head_dim, max_positions, length});
}

RopeTables rope_tables(const RopeFrequencies& frequencies, const at::Tensor& positions) {
  const at::Tensor angles = positions.to(at::kFloat).unsqueeze(-1) * frequencies.inverse;
  const at::Tensor both = at::cat({angles, angles}, -1);
  if (frequencies.amplitude == 1) return {both.cos(), both.sin()};
  return {both.cos() * frequencies.amplitude, both.sin() * frequencies.amplitude};
}

}  // namespace lora
