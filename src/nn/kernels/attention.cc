// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <vector>

#include "io/aten.h"
#include "nn/kernels/attention_parts.h"
#include "nn/kernels/rows.h"
#include "nn/kernels/simd_scores.h"

namespace lora::kernels {
namespace {

using Shape = AttentionShape;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
std::int64_t tile_rows(std::int64_t n) {
  return static_cast<std::int64_t>(simd::round_up(size(n), simd::kTileRows));
}
std::int64_t tile_columns(std::int64_t n) {
  return static_cast<std::int64_t>(simd::round_up(size(n), simd::kTileColumns));
}

at::Tensor floats(std::int64_t n) { return at::empty({n}, at::kFloat); }

struct Operands {
  at::Tensor q, k, v, out, log_sum;  // log_sum [B, H, T] float32
  at::Tensor ranges;

  const std::int64_t* range(const Shape& shape, std::int64_t b, std::int64_t query) const {
    return ranges.data_ptr<std::int64_t>() + 2 * (b * shape.queries + query);
  }
};

// Row `query` of the scores against a block of keys; `seen` false: it sees none of them.
simd::ScoreRow score_row(const Operands& x, const Shape& shape, std::int64_t b, std::int64_t query,
                         std::int64_t key_block, bool seen) {
  const std::int64_t first = key_block * shape.key_block, count = shape.keys_of(key_block);
  simd::ScoreRow row{size(tile_columns(count)), 0, 0, shape.scale, shape.softcap};
  if (!seen) return row;
  const std::int64_t* range = x.range(shape, b, query);
  row.begin = size(std::clamp<std::int64_t>(range[0] - first, 0, count));
  row.end = size(std::clamp<std::int64_t>(range[1] - first, 0, count));
  row.begin = std::min(row.begin, row.end);
  return row;
}

// a [rows][a_row] (or its transpose) times b.
simd::TileProduct product(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                          const std::uint32_t* a, std::int64_t a_row, std::int64_t a_depth,
                          const std::uint32_t* b, std::int64_t b_depth, float* c,
                          std::int64_t c_row, bool add) {
  return {size(rows), size(columns), size(depth), a,           size(a_row), size(a_depth),
          b,          size(b_depth), c,           size(c_row), add};
}

// One thread's place for the forward pass of a block of queries.
struct ForwardSpace {
  explicit ForwardSpace(const Shape& shape)
      : query(shape, kQueryBlock, kQueryBlock, {.left = true}),
        scores(floats(kQueryBlock * shape.key_block)),
        weights(floats(kQueryBlock * shape.key_block)),
        out(floats(kQueryBlock * shape.wide)) {}

  PackedHead query;
  at::Tensor scores, weights, out;
  std::array<simd::SoftmaxState, kQueryBlock> states;
};

// Scores of the block of keys, their weights, and out = factor * out + weights v.
void forward_keys(const Operands& x, const Shape& shape, const PackedHead& keys,
                  const PackedHead& values, ForwardSpace& space, std::int64_t b, std::int64_t block,
                  std::int64_t key_block, bool first) {
  const std::int64_t count = shape.queries_of(block), rows = tile_rows(count);
  const std::int64_t seen = shape.keys_of(key_block), columns = tile_columns(seen);
  auto* scores = space.scores.data_ptr<float>();
  auto* weights = static_cast<std::uint32_t*>(space.weights.data_ptr());
  auto* out = space.out.data_ptr<float>();
  const std::int64_t step = shape.key_block / shape.unit_depth;  // units from row to row
  multiply_tiles(shape.unit, product(rows, columns, shape.depth, space.query.left(0), shape.depth,
                                     1, keys.right_transposed(key_block), shape.key_block, scores,
                                     shape.key_block, false));
  for (std::int64_t i = 0; i < rows; ++i) {
    const simd::ScoreRow row =
        score_row(x, shape, b, block * kQueryBlock + i, key_block, i < count);
    const float factor = simd::softmax_block(shape.unit, row, scores + i * shape.key_block,
                                             space.states[size(i)], weights + i * step);
    if (first || factor == 1) continue;
    float* sum = out + i * shape.wide;
    simd::narrow_range(simd::Element::f32, size(shape.wide), sum, factor, sum);
  }
  multiply_tiles(shape.unit, product(rows, shape.wide, shape.units(seen), weights, step, 1,
                                     values.right(key_block), shape.wide, out, shape.wide, !first));
}

void forward_block(const Operands& x, const Shape& shape, const PackedHead& keys,
                   const PackedHead& values, ForwardSpace& space, std::int64_t b, std::int64_t head,
                   std::int64_t block) {
  const std::int64_t begin = block * kQueryBlock, count = shape.queries_of(block);
  const simd::Plane plane = head_plane(x.q, b, head, begin, count);
  space.query.pack(shape, plane, 0);
  space.states.fill({});
  const KeyRange range = range_of_block(shape, x.ranges, b, block);
  const std::int64_t first = range.begin / shape.key_block;
  for (std::int64_t j = first; j * shape.key_block < range.end; ++j) {
    forward_keys(x, shape, keys, values, space, b, block, j, j == first);
  }
  float* log_sum = x.log_sum.data_ptr<float>() + (b * shape.heads + head) * shape.queries + begin;
  for (std::int64_t i = 0; i < count; ++i) {
    const simd::SoftmaxState& state = space.states[size(i)];
    log_sum[i] = state.most + std::log(state.sum);
    simd::narrow_range(
        element_of(x.out), size(shape.width), space.out.data_ptr<float>() + i * shape.wide,
        1 / state.sum,
        at_element(x.out, ((b * shape.queries + begin + i) * shape.heads + head) * shape.width));
  }
}

void run_forward(const Operands& x, const Shape& shape) {
  // Keys and values of every head are packed once.
  std::vector<PackedHead> keys, values;
  const std::int64_t groups = shape.rows * shape.groups, key_blocks = shape.key_blocks();
  for (std::int64_t i = 0; i < groups; ++i) {
    keys.emplace_back(shape, shape.keys, shape.key_block, PackedHead::Forms{.turned = true});
    values.emplace_back(shape, shape.keys, shape.key_block, PackedHead::Forms{.right = true});
  }
  at::parallel_for(0, groups * key_blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t group = i / key_blocks, b = group / shape.groups;
      keys[size(group)].pack(shape, x.k, b, group % shape.groups, i % key_blocks);
      values[size(group)].pack(shape, x.v, b, group % shape.groups, i % key_blocks);
    }
  });
  const std::int64_t blocks = shape.query_blocks();
  at::parallel_for(
      0, shape.rows * shape.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
        ForwardSpace space(shape);
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t b = i / blocks / shape.heads, head = i / blocks % shape.heads;
          const std::size_t group = size(b * shape.groups + head / shape.share());
          forward_block(x, shape, keys[group], values[group], space, b, head, i % blocks);
        }
      });
}

struct Gradients {
  at::Tensor out, q, k, v;
};

// What the backward pass of one key head keeps: its keys and values, its query heads, the sums.
struct BackwardSpace {
  explicit BackwardSpace(const Shape& shape)
      : keys(shape, shape.keys, shape.key_block, {.right = true, .turned = true}),
        values(shape, shape.keys, shape.key_block, {.turned = true}),
        scores(floats(kQueryBlock * shape.key_block)),
        d_weights(floats(kQueryBlock * shape.key_block)),
        weights(floats(kQueryBlock * shape.key_block)),
        slopes(floats(kQueryBlock * shape.key_block)),
        slope_rows(floats(kQueryBlock * shape.key_block)),
        d_query(floats(shape.share() * shape.query_blocks() * kQueryBlock * shape.wide)),
        d_key(floats(shape.key_block * shape.wide)),
        d_value(floats(shape.key_block * shape.wide)),
        delta(floats(shape.share() * shape.queries)) {
    for (std::int64_t i = 0; i < shape.share(); ++i) {
      queries.emplace_back(shape, shape.queries, kQueryBlock,
                           PackedHead::Forms{.left = true, .right = true});
      d_outs.emplace_back(shape, shape.queries, kQueryBlock,
                          PackedHead::Forms{.left = true, .right = true});
    }
  }

  PackedHead keys, values;
  std::vector<PackedHead> queries, d_outs;
  at::Tensor scores, d_weights, weights, slopes, slope_rows;
  at::Tensor d_query, d_key, d_value;
  at::Tensor delta;
};

// Place of a block: row of the batch, query head and its number among those of the key head.
struct Place {
  std::int64_t b, head, member, block, key_block;
};

// Weights and gradients of the scores of a block, packed for the three products that follow.
void backward_scores(const Operands& x, const Shape& shape, BackwardSpace& space, const Place& at) {
  const std::int64_t count = shape.queries_of(at.block), first = at.block * kQueryBlock;
  const float* log_sum =
      x.log_sum.data_ptr<float>() + (at.b * shape.heads + at.head) * shape.queries + first;
  const float* delta = space.delta.data_ptr<float>() + at.member * shape.queries + first;
  const std::int64_t step = shape.key_block;
  for (std::int64_t i = 0; i < tile_rows(count); i += 2) {
    const auto one = [&](std::int64_t row) -> simd::ScoreGradRow {
      const bool seen = row < count;
      return {score_row(x, shape, at.b, first + row, at.key_block, seen), seen ? log_sum[row] : 0,
              seen ? delta[row] : 0, space.scores.data_ptr<float>() + row * step,
              space.d_weights.data_ptr<float>() + row * step};
    };
    const std::int64_t units = i / shape.unit_depth * step;
    simd::softmax_grad_block(
        shape.unit, {one(i), one(i + 1)},
        {static_cast<std::uint32_t*>(space.weights.data_ptr()) + units,
         static_cast<std::uint32_t*>(space.slopes.data_ptr()) + units,
         static_cast<std::uint16_t*>(space.slope_rows.data_ptr()) + i * step, size(step)});
  }
}

void backward_block(const Operands& x, const Shape& shape, BackwardSpace& space, const Place& at,
                    bool first) {
  const std::int64_t count = shape.queries_of(at.block), rows = tile_rows(count);
  const std::int64_t seen = shape.keys_of(at.key_block), columns = tile_columns(seen);
  const std::int64_t step = shape.key_block, wide = shape.wide;
  const PackedHead &query = space.queries[size(at.member)], &d_out = space.d_outs[size(at.member)];
  const auto against = [&](const PackedHead& left, const PackedHead& right, at::Tensor& to) {
    multiply_tiles(shape.unit, product(rows, columns, shape.depth, left.left(at.block), shape.depth,
                                       1, right.right_transposed(at.key_block), step,
                                       to.data_ptr<float>(), step, false));
  };
  against(query, space.keys, space.scores);
  against(d_out, space.values, space.d_weights);
  backward_scores(x, shape, space, at);
  const auto* weights = static_cast<const std::uint32_t*>(space.weights.data_ptr());
  const auto* slopes = static_cast<const std::uint32_t*>(space.slopes.data_ptr());
  const bool pairs = shape.unit == simd::Unit::bf16_pair;
  const auto* slope_rows =
      pairs ? static_cast<const std::uint32_t*>(space.slope_rows.data_ptr()) : slopes;
  const auto across = [&](const std::uint32_t* left, const PackedHead& right, at::Tensor& to) {
    multiply_tiles(shape.unit,
                   product(tile_rows(seen), wide, shape.units(count), left, 1, step,
                           right.right(at.block), wide, to.data_ptr<float>(), wide, !first));
  };
  across(weights, d_out, space.d_value);
  across(slopes, query, space.d_key);
  float* d_query = space.d_query.data_ptr<float>() +
                   (at.member * shape.query_blocks() + at.block) * kQueryBlock * wide;
  multiply_tiles(shape.unit,
                 product(rows, wide, shape.units(seen), slope_rows, step / shape.unit_depth, 1,
                         space.keys.right(at.key_block), wide, d_query, wide, true));
}

// Rows of float sums into one head of `to`.
void take_rows(const Shape& shape, const float* sums, const at::Tensor& to, std::int64_t b,
               std::int64_t head, std::int64_t begin, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = (b * to.size(1) + begin + i) * to.size(2) + head;
    simd::narrow_range(element_of(to), size(shape.width), sums + i * shape.wide, 1,
                       at_element(to, place * shape.width));
  }
}

void prepare(const Operands& x, const Gradients& d, const Shape& shape, BackwardSpace& space,
             std::int64_t b, std::int64_t group) {
  for (std::int64_t j = 0; j < shape.key_blocks(); ++j) {
    space.keys.pack(shape, x.k, b, group, j);
    space.values.pack(shape, x.v, b, group, j);
  }
  space.d_query.zero_();
  for (std::int64_t member = 0; member < shape.share(); ++member) {
    const std::int64_t head = group * shape.share() + member;
    for (std::int64_t block = 0; block < shape.query_blocks(); ++block) {
      space.queries[size(member)].pack(shape, x.q, b, head, block);
      space.d_outs[size(member)].pack(shape, d.out, b, head, block);
    }
    float* delta = space.delta.data_ptr<float>() + member * shape.queries;
    for (std::int64_t t = 0; t < shape.queries; ++t) {
      const std::int64_t place = ((b * shape.queries + t) * shape.heads + head) * shape.width;
      delta[t] = simd::dot_row(element_of(x.q), size(shape.width), at_element(d.out, place),
                               at_element(x.out, place));
    }
  }
}

// All query heads that share one key head, on one thread: its sums need no lock.
void backward_group(const Operands& x, const Gradients& d, const Shape& shape, BackwardSpace& space,
                    std::int64_t b, std::int64_t group) {
  prepare(x, d, shape, space, b, group);
  for (std::int64_t j = 0; j < shape.key_blocks(); ++j) {
    const std::int64_t begin = j * shape.key_block, end = begin + shape.keys_of(j);
    bool first = true;
    for (std::int64_t member = 0; member < shape.share(); ++member) {
      for (std::int64_t block = 0; block < shape.query_blocks(); ++block) {
        const KeyRange range = range_of_block(shape, x.ranges, b, block);
        if (range.end <= begin || range.begin >= end) continue;
        backward_block(x, shape, space, {b, group * shape.share() + member, member, block, j},
                       first);
        first = false;
      }
    }
    if (first) {
      space.d_key.zero_();
      space.d_value.zero_();
    }
    take_rows(shape, space.d_key.data_ptr<float>(), d.k, b, group, begin, end - begin);
    take_rows(shape, space.d_value.data_ptr<float>(), d.v, b, group, begin, end - begin);
  }
  for (std::int64_t member = 0; member < shape.share(); ++member) {
    const float* sums =
        space.d_query.data_ptr<float>() + member * shape.query_blocks() * kQueryBlock * shape.wide;
    take_rows(shape, sums, d.q, b, group * shape.share() + member, 0, shape.queries);
  }
}

class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& ranges, double scale,
                            double softcap) {
    const Shape shape(q, k, scale, softcap);
    const Operands x{
        q,
        k,
        v,
        at::empty_like(q),
        at::empty({shape.rows, shape.heads, shape.queries}, q.options().dtype(at::kFloat)),
        ranges};
    run_forward(x, shape);
    context->save_for_backward({q, k, v, x.out, x.log_sum, ranges});
    context->saved_data["scale"] = scale;
    context->saved_data["softcap"] = softcap;
    return x.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const Operands x{saved[0], saved[1], saved[2], saved[3], saved[4], saved[5]};
    const Shape shape(x.q, x.k, context->saved_data["scale"].toDouble(),
                      context->saved_data["softcap"].toDouble());
    const Gradients d{outputs[0].contiguous(), at::empty_like(x.q), at::empty_like(x.k),
                      at::empty_like(x.v)};
    at::parallel_for(0, shape.rows * shape.groups, 1, [&](std::int64_t begin, std::int64_t end) {
      BackwardSpace space(shape);
      for (std::int64_t i = begin; i < end; ++i) {
        backward_group(x, d, shape, space, i / shape.groups, i % shape.groups);
      }
    });
    return {d.q, d.k, d.v, {}, {}, {}};
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap) {
  const at::Tensor ranges = visible_ranges(mask, q.size(0), q.size(1), k.size(1));
  return Attention::apply(q.contiguous(), k.contiguous(), v.contiguous(), ranges, scale, softcap);
}

}  // namespace lora::kernels
