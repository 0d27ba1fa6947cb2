// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/attention_parts.h"

#include "io/aten.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

std::int64_t padded(std::int64_t n, std::size_t step) {
  return static_cast<std::int64_t>(simd::round_up(static_cast<std::size_t>(n), step));
}

}  // namespace

AttentionShape::AttentionShape(const at::Tensor& q, const at::Tensor& k, double scale_in,
                               double softcap_in)
    : rows(q.size(0)),
      queries(q.size(1)),
      keys(k.size(1)),
      heads(q.size(2)),
      groups(k.size(2)),
      width(q.size(3)),
      scale(static_cast<float>(scale_in)),
      softcap(static_cast<float>(softcap_in)),
      unit(simd::unit_for(element_of(q))),
      unit_depth(static_cast<std::int64_t>(simd::depth_of(unit))),
      depth(units(width)),
      wide(padded(width, simd::kTileColumns)),
      key_block(std::min(kMostKeys, padded(keys, simd::kTileColumns))) {}

at::Tensor visible_ranges(const AttentionMask& mask, std::int64_t rows, std::int64_t queries,
                          std::int64_t keys) {
  at::Tensor ranges = at::empty({rows, queries, 2}, at::kLong);
  auto* out = ranges.data_ptr<std::int64_t>();
  const at::Tensor documents =
      mask.documents.defined() ? mask.documents.contiguous() : at::Tensor();
  const std::int64_t* document = documents.defined() ? documents.data_ptr<std::int64_t>() : nullptr;
  for (std::int64_t b = 0; b < rows; ++b) {
    const std::int64_t* ids = document == nullptr ? nullptr : document + b * keys;
    std::int64_t start = 0, stop = 0;  // of the document at t
    for (std::int64_t t = 0; t < queries; ++t) {
      if (t == stop) {
        start = ids == nullptr ? 0 : t;
        stop = ids == nullptr ? keys : t + 1;
        while (stop < keys && ids[stop] == ids[t]) ++stop;
      }
      const std::int64_t low = mask.window > 0 ? t - mask.window + 1 : 0;
      *out++ = std::max(start, low);
      *out++ = mask.causal ? t + 1 : stop;
    }
  }
  return ranges;
}

KeyRange range_of_block(const AttentionShape& shape, const at::Tensor& ranges, std::int64_t b,
                        std::int64_t block) {
  const std::int64_t first = b * shape.queries + block * kQueryBlock;
  const std::int64_t* range = ranges.data_ptr<std::int64_t>() + 2 * first;
  KeyRange all{range[0], range[1]};
  for (std::int64_t i = 1; i < shape.queries_of(block); ++i) {
    all.begin = std::min(all.begin, range[2 * i]);
    all.end = std::max(all.end, range[2 * i + 1]);
  }
  return all;
}

simd::Plane head_plane(const at::Tensor& x, std::int64_t b, std::int64_t head, std::int64_t begin,
                       std::int64_t count) {
  const std::int64_t heads = x.size(2), width = x.size(3);
  return {element_of(x), at_element(x, ((b * x.size(1) + begin) * heads + head) * width),
          static_cast<std::size_t>(count), static_cast<std::size_t>(width),
          static_cast<std::size_t>(heads * width)};
}

PackedHead::PackedHead(const AttentionShape& shape, std::int64_t length, std::int64_t block,
                       Forms forms)
    : length_(length), block_(block) {
  const std::int64_t blocks = (length + block - 1) / block;
  const auto make = [&](bool wanted, std::int64_t units) {
    return wanted ? at::empty({blocks, units}, at::kInt) : at::Tensor();
  };
  left_ = make(forms.left, padded(block, simd::kTileRows) * shape.depth);
  right_ = make(forms.right, shape.units(block) * shape.wide);
  turned_ = make(forms.turned, shape.depth * padded(block, simd::kTileColumns));
}

void PackedHead::pack(const AttentionShape& shape, const at::Tensor& x, std::int64_t b,
                      std::int64_t head, std::int64_t index) {
  const std::int64_t begin = index * block_;
  pack(shape, head_plane(x, b, head, begin, std::min(block_, length_ - begin)), index);
}

void PackedHead::pack(const AttentionShape& shape, const simd::Plane& plane, std::int64_t index) {
  if (left_.defined()) {
    simd::pack_left(shape.unit, plane, at(left_, index), static_cast<std::size_t>(shape.depth));
  }
  if (right_.defined()) {
    simd::pack_right(shape.unit, plane, at(right_, index), static_cast<std::size_t>(shape.wide));
  }
  if (turned_.defined()) {
    simd::pack_right_transposed(shape.unit, plane, at(turned_, index),
                                static_cast<std::size_t>(padded(block_, simd::kTileColumns)));
  }
}

}  // namespace lora::kernels
