// SPDX-License-Identifier: Apache-2.0
// Aspect-ratio buckets by kohya sd-scripts' rule, and the resize-and-crop that goes with them.
#pragma once

#include <vector>

#include "io/image.h"

namespace lora {

struct Size {
  int width = 0, height = 0;
  auto operator<=>(const Size&) const = default;
};

struct BucketRule {
  int resolution = 512;  // area = resolution^2
  int min_size = 256, max_size = 1024;
  int step = 64;
  bool no_upscale = true;  // shrink only; a picture's own size, rounded down to step
};

// How one picture reaches its training size.
struct Fit {
  Size resized;           // whole picture after the resize
  Size bucket;            // after the crop
  int left = 0, top = 0;  // of the crop
};

// All bucket sizes, ascending: width then height.
std::vector<Size> make_buckets(const BucketRule& rule);

// Throws Error for a picture smaller than one step (it cannot fill a bucket).
Fit fit_bucket(const BucketRule& rule, Size picture);

// One resolution: cover `side` x `side`, centre crop (the diffusers scripts' rule: short side to
// `side`, offsets rounded half to even).
Fit fit_square(int side, Size picture);

// Resize (kohya's filter choice, or Lanczos) and crop.
Image apply_fit(const Image& image, const Fit& fit, bool always_lanczos = false);

}  // namespace lora
