// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/winograd.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "io/aten.h"
#include "nn/kernels/product.h"
#include "nn/kernels/simd_tile.h"
#include "nn/kernels/simd_winograd.h"

namespace lora::kernels {
namespace {

constexpr std::int64_t kPositions = 16;
constexpr std::int64_t kLeastTiles = 64;
// Transformed tiles at a time: half of a usual last-level cache.
constexpr std::int64_t kRoomBytes = std::int64_t{16} << 20;
constexpr std::int64_t kWeightRows = 64;  // outputs whose weights are transformed at a time

simd::WinogradPicture picture_of(const at::Tensor& x) {
  const auto size = [&](std::int64_t i) { return static_cast<std::size_t>(x.size(i)); };
  return {size(2), size(3), size(1)};
}

// Rows of tiles, those of all pictures of a batch one after the other.
struct Tiles {
  explicit Tiles(const at::Tensor& x)
      : per_picture((x.size(2) + 1) / 2),
        rows(x.size(0) * per_picture),
        columns((x.size(3) + 1) / 2) {}

  std::int64_t per_picture, rows, columns;
};

std::uint16_t* bits_at(const at::Tensor& x, std::int64_t element) {
  return static_cast<std::uint16_t*>(x.data_ptr()) + element;
}

// First element of the picture of a row of tiles.
std::uint16_t* picture_at(const at::Tensor& x, const Tiles& tiles, std::int64_t row) {
  return bits_at(x, row / tiles.per_picture * x.stride(0));
}

std::size_t row_in_picture(const Tiles& tiles, std::int64_t row) {
  return static_cast<std::size_t>(row % tiles.per_picture);
}

// G g G^T of every kernel g of a weight [out, in, 3, 3]: [16, out, in].
at::Tensor transformed(const at::Tensor& weight) {
  const at::Tensor g =
      at::tensor({1.0F, 0.0F, 0.0F, 0.5F, 0.5F, 0.5F, 0.5F, -0.5F, 0.5F, 0.0F, 0.0F, 1.0F})
          .view({4, 3});
  const at::Tensor both = at::kron(g, g);  // [16, 9]
  const std::int64_t outs = weight.size(0), ins = weight.size(1);
  const at::Tensor to = at::empty({kPositions, outs, ins}, weight.scalar_type());
  for (std::int64_t begin = 0; begin < outs; begin += kWeightRows) {
    const std::int64_t count = std::min(kWeightRows, outs - begin);
    const at::Tensor part = weight.narrow(0, begin, count).to(at::kFloat).reshape({-1, 9});
    to.narrow(1, begin, count).copy_(at::matmul(both, part.t()).view({kPositions, count, ins}));
  }
  return to;
}

// Position of the kernel turned round: G of a reversed kernel exchanges the first and last rows.
std::int64_t turned_position(std::int64_t position) {
  constexpr std::int64_t kTurned[4] = {3, 1, 2, 0};
  return kTurned[position / 4] * 4 + kTurned[position % 4];
}

}  // namespace

Winograd::Winograd(const at::Tensor& weight, const at::Tensor& bias)
    : weight_(weight), bias_(bias.defined() ? bias.to(at::kFloat).contiguous() : at::Tensor()) {}

bool Winograd::suits(const at::Tensor& weight, const at::Tensor& picture) {
  const Tiles tiles(picture);
  return simd::has_bf16_pairs() && weight.scalar_type() == at::kBFloat16 && weight.size(2) == 3 &&
         weight.size(3) == 3 && weight.size(0) % 16 == 0 && weight.size(1) % 16 == 0 &&
         tiles.rows * tiles.columns >= kLeastTiles;
}

void Winograd::forward(const at::Tensor& x, const at::Tensor& y) { run(x, y, false); }

void Winograd::backward(const at::Tensor& dy, const at::Tensor& dx) { run(dy, dx, true); }

// Products of the first `tiles` tiles at one position of theirs.
void Winograd::multiply_position(const at::Tensor& before, const at::Tensor& after,
                                 std::int64_t tiles, std::int64_t position, bool turned) const {
  const at::Tensor plain = transformed_.select(0, turned ? turned_position(position) : position);
  const Matrix weight = turned ? matrix(plain) : matrix(plain).transposed();
  multiply(matrix(before[position]).row_range(0, tiles), weight,
           matrix(after[position]).row_range(0, tiles));
}

void Winograd::run(const at::Tensor& in, const at::Tensor& out, bool turned) {
  if (!transformed_.defined()) transformed_ = transformed(weight_);
  const Tiles tiles(in);
  const std::int64_t ins = in.size(1), outs = out.size(1);
  const std::int64_t row_bytes = kPositions * tiles.columns * (2 * ins + 4 * outs);
  const std::int64_t parts = (tiles.rows * row_bytes + kRoomBytes - 1) / kRoomBytes;
  const std::int64_t step = (tiles.rows + parts - 1) / parts;
  const at::Tensor before = at::empty({kPositions, step * tiles.columns, ins}, at::kBFloat16);
  const at::Tensor after = at::empty({kPositions, step * tiles.columns, outs}, at::kFloat);
  const simd::WinogradPicture from = picture_of(in), to = picture_of(out);
  const float* bias = bias_.defined() && !turned ? bias_.data_ptr<float>() : nullptr;
  for (std::int64_t first = 0; first < tiles.rows; first += step) {
    const std::int64_t rows = std::min(step, tiles.rows - first);
    at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        simd::winograd_tiles(
            from, picture_at(in, tiles, first + i), row_in_picture(tiles, first + i),
            bits_at(before, i * tiles.columns * ins), static_cast<std::size_t>(before.stride(0)));
      }
    });
    at::parallel_for(0, kPositions, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        multiply_position(before, after, rows * tiles.columns, i, turned);
      }
    });
    at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        simd::winograd_results(to, after.data_ptr<float>() + i * tiles.columns * outs,
                               static_cast<std::size_t>(after.stride(0)), bias,
                               row_in_picture(tiles, first + i), picture_at(out, tiles, first + i));
      }
    });
  }
}

}  // namespace lora::kernels
