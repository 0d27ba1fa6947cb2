// SPDX-License-Identifier: Apache-2.0
// The transforms of Winograd's F(2x2, 3x3) (winograd.h). Pictures are bfloat16 in channels_last
// memory; a tile is 2 x 2 results of a 3 x 3 convolution with padding 1, which see 4 x 4 inputs. No
// libtorch here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lora::simd {

struct WinogradPicture {
  std::size_t height, width, channels;
};

// B^T d B of a row of tiles: to [16][(width + 1) / 2][channels] bfloat16; `step` elements
// from one of the 16 positions to the next.
void winograd_tiles(const WinogradPicture& picture, const std::uint16_t* x, std::size_t tile_row,
                    std::uint16_t* to, std::size_t step);

// A^T m A + bias (nullptr: none) of a row of tiles into the picture y: from
// [16][(width + 1) / 2][channels], `step` elements from position to position.
void winograd_results(const WinogradPicture& picture, const float* from, std::size_t step,
                      const float* bias, std::size_t tile_row, std::uint16_t* y);

}  // namespace lora::simd
