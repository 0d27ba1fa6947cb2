// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/winograd.h"

#include <ATen/ATen.h>
#include <omp.h>

#include <algorithm>

#include "nn/kernels/rows.h"
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
  return {element_of(x), size(2), size(3), size(1)};
}

// Rows of tiles, those of all pictures of a batch one after the other.
struct Tiles {
  explicit Tiles(const at::Tensor& x)
      : per_picture((x.size(2) + 1) / 2),
        rows(x.size(0) * per_picture),
        columns((x.size(3) + 1) / 2) {}

  std::int64_t per_picture, rows, columns;
};

// First element of the picture of a row of tiles.
char* picture_at(const at::Tensor& x, const Tiles& tiles, std::int64_t row) {
  return at_element(x, row / tiles.per_picture * x.stride(0));
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
  return to.view({kPositions, outs, ins, 1, 1});
}

}  // namespace

bool Winograd::suits(const ConvShape& shape, const at::Tensor& picture) {
  const Tiles tiles(picture);
  const std::vector<std::int64_t>& weight = shape.weight;
  return shape.type == at::kBFloat16 && weight[2] == 3 && weight[3] == 3 && shape.stride == 1 &&
         shape.padding == 1 && weight[0] % 16 == 0 && weight[1] % 16 == 0 &&
         tiles.rows * tiles.columns >= kLeastTiles;
}

Winograd::Winograd(const ConvShape& shape)
    : bias_(shape.bias.defined() ? shape.bias.to(at::kFloat).contiguous() : at::Tensor()) {
  products_.weight = {kPositions, shape.weight[0], shape.weight[1], 1, 1};
  products_.type = shape.type;
  products_.out_type = at::kFloat;
}

const ConvPlan* Winograd::plan_of(std::int64_t tile_rows, std::int64_t tile_columns) {
  const auto [at, fresh] =
      plans_.try_emplace({tile_rows, tile_columns, std::int64_t{omp_get_max_threads()}});
  if (fresh) {
    try {
      const std::int64_t outs = products_.weight[1], ins = products_.weight[2];
      at->second = forward_plan(products_, {1, kPositions * ins, tile_rows, tile_columns},
                                {1, kPositions * outs, tile_rows, tile_columns});
    } catch (const dnnl::error&) {
      at->second.reset();
    }
  }
  return at->second ? &*at->second : nullptr;
}

bool Winograd::run(const at::Tensor& in, const at::Tensor& out,
                   const std::function<at::Tensor()>& plain) {
  const Tiles tiles(in);
  const std::int64_t ins = in.size(1), outs = out.size(1);
  const std::int64_t row_bytes = kPositions * tiles.columns * (2 * ins + 4 * outs);
  const std::int64_t parts = (tiles.rows * row_bytes + kRoomBytes - 1) / kRoomBytes;
  const std::int64_t step = (tiles.rows + parts - 1) / parts;
  const at::Tensor before = at::empty({step, tiles.columns, kPositions * ins}, in.options(),
                                      at::MemoryFormat::Contiguous);
  const at::Tensor after = at::empty({step, tiles.columns, kPositions * outs}, at::kFloat);
  const simd::WinogradPicture from = picture_of(in), to = picture_of(out);
  for (std::int64_t first = 0; first < tiles.rows; first += step) {
    const std::int64_t rows = std::min(step, tiles.rows - first);
    const ConvPlan* plan = plan_of(rows, tiles.columns);
    if (plan == nullptr) return false;
    const at::Tensor weight =
        packed_.in(plan->weight, products_, [&] { return transformed(plain()); });
    at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        simd::winograd_tiles(from, picture_at(in, tiles, first + i),
                             row_in_picture(tiles, first + i),
                             at_element(before, i * before.stride(0)));
      }
    });
    run_conv(*plan, products_, before, weight, after);
    at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        simd::winograd_results(to, after.data_ptr<float>() + i * after.stride(0),
                               bias_.defined() ? bias_.data_ptr<float>() : nullptr,
                               row_in_picture(tiles, first + i), picture_at(out, tiles, first + i));
      }
    });
  }
  return true;
}

}  // namespace lora::kernels
