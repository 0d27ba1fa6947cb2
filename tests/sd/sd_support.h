// SPDX-License-Identifier: Apache-2.0
// Reference tensors of golden/sd, their tolerances, and comparison.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "io/aten.h"
#include "io/tensors.h"
#include "models/sd_kinds.h"
#include "models/stable_diffusion.h"
#include "nn/observe.h"
#include "tests/golden_set.h"

namespace lora::test {

inline Path sd_golden(const std::string& file = "") { return golden() / "sd" / file; }

inline nlohmann::json golden_json(const std::string& file) {
  std::string text = read_file(sd_golden(file));
  // Python writes infinities, which JSON does not have.
  for (std::size_t at = 0; (at = text.find("-Infinity", at)) != std::string::npos;) {
    text.replace(at, 9, "null");
  }
  return nlohmann::json::parse(text);
}

// Tensors in memory as a source of weights.
class MemoryWeights : public WeightSource {
 public:
  explicit MemoryWeights(TensorMap tensors) : tensors_(std::move(tensors)) {}
  std::string where() const override { return "memory"; }
  bool has(const std::string& name) const override { return tensors_.contains(name); }
  at::Tensor take(const std::string& name, at::IntArrayRef) override { return tensors_.at(name); }

 private:
  TensorMap tensors_;
};

// Recommended absolute tolerance of a group of tensors; fails the test where there is none.
inline double tolerance(const std::string& file, const std::string& group,
                        const char* kind = "recommended_atol") {
  static const nlohmann::json all = golden_json("tolerances.json");
  if (!all.contains(file) || !all[file].contains(group)) {
    ADD_FAILURE() << "no tolerance for " << file << ": " << group;
    return 0;
  }
  return all[file][group].at(kind).get<double>();
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) {
    ADD_FAILURE() << "shapes differ: " << a.sizes() << " and " << b.sizes();
    return INFINITY;
  }
  const at::Tensor difference = (a.to(at::kDouble) - b.to(at::kDouble)).abs();
  return difference.isnan().any().item<bool>() ? NAN : difference.max().item<double>();
}

inline void report(const std::string& what, double measured, double allowed) {
  std::cout << "parity: sd/" << what << " " << measured << " " << allowed << "\n";
}

inline void expect_near(const std::string& what, const at::Tensor& measured,
                        const at::Tensor& expected, double allowed) {
  const double difference = largest_difference(measured, expected);
  report(what, difference, allowed);
  EXPECT_LE(difference, allowed) << what;
}

// Compares with group `name` of `file` in its own tolerance.
inline void expect_golden(const std::string& file, const std::string& group,
                          const std::string& name, const at::Tensor& measured,
                          const TensorMap& expected) {
  expect_near(file + ":" + name, measured, expected.at(name), tolerance(file, group));
}

// Largest error over several tensors of one group, reported once.
class Worst {
 public:
  explicit Worst(std::string what) : what_(std::move(what)) {}
  ~Worst() {
    report(what_ + " (error over tolerance, worst of " + std::to_string(count_) + ")", ratio_, 1);
  }
  void add(const std::string& name, const at::Tensor& measured, const at::Tensor& expected,
           double allowed) {
    const double difference = largest_difference(measured, expected);
    EXPECT_LE(difference, allowed) << what_ << ": " << name;
    ratio_ = std::max(ratio_, difference / allowed);
    ++count_;
  }

 private:
  std::string what_;
  double ratio_ = 0;
  int count_ = 0;
};

// Outputs of all modules while it lives.
class Recorder {
 public:
  Recorder()
      : observing_([this](const std::string& name, const at::Tensor& output) {
          outputs_[name] = output;
        }) {}
  const TensorMap& outputs() const { return outputs_; }

 private:
  TensorMap outputs_;
  Observing observing_;
};

inline std::unique_ptr<StableDiffusion> load_golden(const std::string& place,
                                                    at::ScalarType dtype = at::kFloat) {
  SdLoadOptions options;
  options.dtype = dtype;
  const Path path = sd_golden(place);
  if (path.parent_path().filename() == "tiny-sd15-single") {
    options.architecture = read_architecture(path.parent_path() / "architecture.json");
  }
  return StableDiffusion::load(path, options);
}

}  // namespace lora::test
