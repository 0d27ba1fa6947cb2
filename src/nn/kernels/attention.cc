// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "nn/kernels/choice.h"
#include "nn/kernels/product.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Key ranges end at multiples of this, so that few different products are needed.
constexpr std::int64_t kKeyStep = 64;

struct Shape {
  std::int64_t rows, length, heads, groups, width;  // B, T, H, K, d
  std::int64_t block;                               // queries in a block
  float scale, softcap;
};

struct Range {
  std::int64_t begin, end;
};

Shape shape_of(const at::Tensor& q, const at::Tensor& k, double scale, double softcap) {
  constexpr std::int64_t kScores = std::int64_t{1} << 17;  // floats of a block: fit the L2 cache
  const std::int64_t length = q.size(1);
  const std::int64_t block = std::clamp<std::int64_t>(kScores / length / 16 * 16, 16, 128);
  return {q.size(0),
          length,
          q.size(2),
          k.size(2),
          q.size(3),
          block,
          static_cast<float>(scale),
          static_cast<float>(softcap)};
}

// Keys that each query may see, [B, T, 2] int64: {begin, end}.
at::Tensor visible_ranges(const AttentionMask& mask, std::int64_t rows, std::int64_t length) {
  at::Tensor ranges = at::empty({rows, length, 2}, at::kLong);
  auto* out = ranges.data_ptr<std::int64_t>();
  const at::Tensor documents =
      mask.documents.defined() ? mask.documents.contiguous() : at::Tensor();
  const std::int64_t* document = documents.defined() ? documents.data_ptr<std::int64_t>() : nullptr;
  for (std::int64_t b = 0; b < rows; ++b) {
    const std::int64_t* ids = document == nullptr ? nullptr : document + b * length;
    std::int64_t start = 0, stop = 0;  // of the document at t
    for (std::int64_t t = 0; t < length; ++t) {
      if (t == stop) {
        start = t;
        stop = ids == nullptr ? length : t + 1;
        while (stop < length && ids[stop] == ids[t]) ++stop;
      }
      const std::int64_t low = mask.window > 0 ? t - mask.window + 1 : 0;
      *out++ = std::max(start, low);
      *out++ = mask.causal ? t + 1 : stop;
    }
  }
  return ranges;
}

// One thread's place for a block.
struct Workspace {
  std::vector<float> scores, d_weights, d_key, d_value;
  std::vector<float> weights, d_scores;  // element type inside; float is the largest
};

Workspace& workspace(const Shape& shape, std::int64_t keys) {
  thread_local Workspace space;
  const auto block = static_cast<std::size_t>(shape.block * keys);
  const auto side = static_cast<std::size_t>(keys * shape.width);
  for (auto* part : {&space.scores, &space.d_weights, &space.weights, &space.d_scores}) {
    if (part->size() < block) part->resize(block);
  }
  if (space.d_key.size() < side) {
    space.d_key.resize(side);
    space.d_value.resize(side);
  }
  return space;
}

// Rows [begin, begin + count) of one head of x [B, T, heads, d] as a matrix.
Matrix head_rows(const at::Tensor& x, std::int64_t b, std::int64_t head, std::int64_t begin,
                 std::int64_t count) {
  const std::int64_t heads = x.size(2), width = x.size(3);
  char* start = at_element(x, ((b * x.size(1) + begin) * heads + head) * width);
  return {start, x.scalar_type(), count, width, heads * width, 1};
}

Matrix scratch(std::vector<float>& space, at::ScalarType type, std::int64_t rows,
               std::int64_t columns) {
  return {space.data(), type, rows, columns, columns, 1};
}

char* row_start(const Matrix& m, std::int64_t row) {
  return static_cast<char*>(m.data) + row * m.row_stride * (m.type == at::kFloat ? 4 : 2);
}

// One block of queries: its place and the keys it reads.
struct Block {
  std::int64_t b, head, begin, count;
  Range keys;
  const std::int64_t* ranges;  // of the first query

  simd::ScoreRow row(const Shape& shape, simd::Element element, std::int64_t i) const {
    return {element,
            static_cast<std::size_t>(keys.end - keys.begin),
            static_cast<std::size_t>(ranges[2 * i] - keys.begin),
            static_cast<std::size_t>(ranges[2 * i + 1] - keys.begin),
            shape.scale,
            shape.softcap};
  }
};

Block block_at(const Shape& shape, const at::Tensor& ranges, std::int64_t b, std::int64_t head,
               std::int64_t index) {
  const std::int64_t begin = index * shape.block;
  const std::int64_t count = std::min(shape.block, shape.length - begin);
  const std::int64_t* first = ranges.data_ptr<std::int64_t>() + 2 * (b * shape.length + begin);
  Range keys{first[0], first[1]};
  for (std::int64_t i = 1; i < count; ++i) {
    keys.begin = std::min(keys.begin, first[2 * i]);
    keys.end = std::max(keys.end, first[2 * i + 1]);
  }
  keys.begin = keys.begin / kKeyStep * kKeyStep;
  keys.end = std::min(shape.length, (keys.end + kKeyStep - 1) / kKeyStep * kKeyStep);
  return {b, head, begin, count, keys, first};
}

struct Operands {
  at::Tensor q, k, v, out, log_sum;  // log_sum [B, H, T] float32
};

float* log_sums(const Operands& x, const Shape& shape, const Block& block) {
  return x.log_sum.data_ptr<float>() + (block.b * shape.heads + block.head) * shape.length +
         block.begin;
}

void forward_block(const Operands& x, const Shape& shape, const Block& block) {
  const std::int64_t group = block.head / (shape.heads / shape.groups);
  const std::int64_t keys = block.keys.end - block.keys.begin;
  Workspace& space = workspace(shape, shape.length);
  const at::ScalarType type = x.q.scalar_type();
  const Matrix scores = scratch(space.scores, at::kFloat, block.count, keys);
  const Matrix weights = scratch(space.weights, type, block.count, keys);
  multiply(head_rows(x.q, block.b, block.head, block.begin, block.count),
           head_rows(x.k, block.b, group, block.keys.begin, keys).transposed(), scores);
  float* log_sum = log_sums(x, shape, block);
  for (std::int64_t i = 0; i < block.count; ++i) {
    log_sum[i] = simd::softmax_row(block.row(shape, element_of(x.q), i),
                                   space.scores.data() + i * keys, row_start(weights, i));
  }
  multiply(weights, head_rows(x.v, block.b, group, block.keys.begin, keys),
           head_rows(x.out, block.b, block.head, block.begin, block.count));
}

struct Gradients {
  at::Tensor out, q, k, v;
};

void backward_block(const Operands& x, const Gradients& d, const Shape& shape, const Block& block) {
  const std::int64_t group = block.head / (shape.heads / shape.groups);
  const std::int64_t first = block.keys.begin, keys = block.keys.end - first;
  Workspace& space = workspace(shape, shape.length);
  const at::ScalarType type = x.q.scalar_type();
  const Matrix scores = scratch(space.scores, at::kFloat, block.count, keys);
  const Matrix d_weights = scratch(space.d_weights, at::kFloat, block.count, keys);
  const Matrix weights = scratch(space.weights, type, block.count, keys);
  const Matrix d_scores = scratch(space.d_scores, type, block.count, keys);
  const Matrix q = head_rows(x.q, block.b, block.head, block.begin, block.count);
  const Matrix dy = head_rows(d.out, block.b, block.head, block.begin, block.count);
  const Matrix y = head_rows(x.out, block.b, block.head, block.begin, block.count);
  const Matrix k = head_rows(x.k, block.b, group, first, keys);
  multiply(q, k.transposed(), scores);
  multiply(dy, head_rows(x.v, block.b, group, first, keys).transposed(), d_weights);
  const float* log_sum = log_sums(x, shape, block);
  const auto width = static_cast<std::size_t>(shape.width);
  for (std::int64_t i = 0; i < block.count; ++i) {
    const float delta = simd::dot_row(element_of(x.q), width, row_start(dy, i), row_start(y, i));
    simd::softmax_grad_row(block.row(shape, element_of(x.q), i), space.scores.data() + i * keys,
                           space.d_weights.data() + i * keys, log_sum[i], delta,
                           row_start(weights, i), row_start(d_scores, i));
  }
  const Matrix d_key = scratch(space.d_key, at::kFloat, shape.length, shape.width);
  const Matrix d_value = scratch(space.d_value, at::kFloat, shape.length, shape.width);
  multiply(weights.transposed(), dy, d_value.row_range(first, keys), true);
  multiply(d_scores.transposed(), q, d_key.row_range(first, keys), true);
  multiply(d_scores, k, head_rows(d.q, block.b, block.head, block.begin, block.count));
}

std::int64_t blocks_of(const Shape& shape) {
  return (shape.length + shape.block - 1) / shape.block;
}

// All query heads that share one key head, on one thread: its sums need no lock.
void backward_group(const Operands& x, const Gradients& d, const Shape& shape,
                    const at::Tensor& ranges, std::int64_t b, std::int64_t group) {
  Workspace& space = workspace(shape, shape.length);
  const std::int64_t side = shape.length * shape.width;
  std::fill_n(space.d_key.begin(), side, 0.0F);
  std::fill_n(space.d_value.begin(), side, 0.0F);
  const std::int64_t share = shape.heads / shape.groups;
  for (std::int64_t head = group * share; head < (group + 1) * share; ++head) {
    for (std::int64_t i = 0; i < blocks_of(shape); ++i) {
      backward_block(x, d, shape, block_at(shape, ranges, b, head, i));
    }
  }
  const Matrix to_key = head_rows(d.k, b, group, 0, shape.length);
  const Matrix to_value = head_rows(d.v, b, group, 0, shape.length);
  const auto width = static_cast<std::size_t>(shape.width);
  for (std::int64_t t = 0; t < shape.length; ++t) {
    simd::narrow_range(element_of(x.q), width, space.d_key.data() + t * shape.width, 1,
                       row_start(to_key, t));
    simd::narrow_range(element_of(x.q), width, space.d_value.data() + t * shape.width, 1,
                       row_start(to_value, t));
  }
}

class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& ranges, double scale,
                            double softcap) {
    const Shape shape = shape_of(q, k, scale, softcap);
    const Operands x{
        q, k, v, at::empty_like(q),
        at::empty({shape.rows, shape.heads, shape.length}, q.options().dtype(at::kFloat))};
    const std::int64_t blocks = blocks_of(shape);
    at::parallel_for(
        0, shape.rows * shape.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t head = i / blocks;
            forward_block(
                x, shape,
                block_at(shape, ranges, head / shape.heads, head % shape.heads, i % blocks));
          }
        });
    context->save_for_backward({q, k, v, x.out, x.log_sum, ranges});
    context->saved_data["scale"] = scale;
    context->saved_data["softcap"] = softcap;
    return x.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const Operands x{saved[0], saved[1], saved[2], saved[3], saved[4]};
    const Shape shape = shape_of(x.q, x.k, context->saved_data["scale"].toDouble(),
                                 context->saved_data["softcap"].toDouble());
    const Gradients d{outputs[0].contiguous(), at::empty_like(x.q), at::empty_like(x.k),
                      at::empty_like(x.v)};
    at::parallel_for(0, shape.rows * shape.groups, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        backward_group(x, d, shape, saved[5], i / shape.groups, i % shape.groups);
      }
    });
    return {d.q, d.k, d.v, {}, {}, {}};
  }
};

}  // namespace

bool usable_attention(const at::Tensor& q, const at::Tensor& k, const AttentionMask& mask) {
  return usable(q) && mask.past == 0 && q.size(1) == k.size(1) && q.size(1) > 1 &&
         (mask.causal || mask.window == 0) && q.scalar_type() == k.scalar_type();
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap) {
  const at::Tensor ranges = visible_ranges(mask, q.size(0), q.size(1));
  return Attention::apply(q.contiguous(), k.contiguous(), v.contiguous(), ranges, scale, softcap);
}

}  // namespace lora::kernels
