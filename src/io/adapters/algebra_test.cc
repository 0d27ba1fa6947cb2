// SPDX-License-Identifier: Apache-2.0
// Every function against dense arithmetic in float64.
#include "io/adapters/algebra.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/adapters/peft_config.h"
#include "io/aten.h"
#include "tests/paths.h"

namespace lora {
namespace {

constexpr double kTolerance = 1e-6;  // relative

at::Generator generator(std::uint64_t seed) { return at::detail::createCPUGenerator(seed); }

struct Shape {
  const char* path;
  std::int64_t out, in, rank, kernel;  // kernel 0: linear
  bool core;
  at::ScalarType dtype;
};

constexpr Shape kShapes[] = {
    {"linear", 24, 40, 4, 0, false, at::kFloat},  {"wide", 6, 50, 10, 0, false, at::kFloat},
    {"bf16", 32, 16, 8, 0, false, at::kBFloat16}, {"half", 16, 16, 3, 0, false, at::kHalf},
    {"conv1x1", 12, 20, 4, 1, false, at::kFloat}, {"conv3x3", 12, 8, 5, 3, false, at::kFloat},
    {"locon", 10, 6, 4, 3, true, at::kFloat}};

AdapterModule random_module(const Shape& shape, double alpha, at::Generator& random) {
  const auto draw = [&](at::IntArrayRef sizes) {
    return at::empty(sizes, at::kFloat).normal_(0, 1, random).to(shape.dtype);
  };
  AdapterModule module;
  module.path = shape.path;
  const std::int64_t kernel = shape.core ? 1 : shape.kernel;
  if (shape.kernel == 0) {
    module.a = draw({shape.rank, shape.in});
    module.b = draw({shape.out, shape.rank});
  } else {
    module.a = draw({shape.rank, shape.in, kernel, kernel});
    module.b = draw({shape.out, shape.rank, 1, 1});
  }
  if (shape.core) module.mid = draw({shape.rank, shape.rank, shape.kernel, shape.kernel});
  module.alpha = alpha;
  module.alpha_known = true;
  module.scale = alpha / static_cast<double>(shape.rank);
  return module;
}

AdapterFile random_adapter(std::uint64_t seed, double alpha) {
  at::Generator random = generator(seed);
  AdapterFile file;
  file.path = "made/" + std::to_string(seed);
  file.kind = AdapterKind::sd15;
  for (const Shape& shape : kShapes) file.modules.push_back(random_module(shape, alpha, random));
  return file;
}

// scale * B A in float64, entry by entry of the definition.
at::Tensor dense(const AdapterModule& module) {
  const at::Tensor b = module.b.to(at::kDouble).flatten(1);
  const at::Tensor a = module.a.to(at::kDouble);
  at::Tensor product;
  if (module.mid.defined()) {
    product = at::einsum("or,rshw,sc->ochw", {b, module.mid.to(at::kDouble), a.flatten(1)});
  } else {
    product = at::matmul(b, a.flatten(1));
  }
  return (product * module.scale).reshape({b.size(0), -1});
}

double norm_of(const at::Tensor& matrix) { return matrix.norm().item<double>(); }

void expect_same(const AdapterModule& found, const at::Tensor& expected, const std::string& what) {
  const at::Tensor product = dense(found);
  ASSERT_EQ(product.sizes(), expected.sizes()) << what << " " << found.path;
  EXPECT_LE(norm_of(product - expected), kTolerance * norm_of(expected))
      << what << " " << found.path;
}

TEST(AdapterAlgebra, NormsProductsAndDistancesAreThoseOfTheDenseMatrices) {
  const AdapterFile p = random_adapter(1, 8), q = random_adapter(2, 3);
  double squares = 0, product = 0, difference = 0;
  for (std::size_t i = 0; i < p.modules.size(); ++i) {
    const AdapterModule &one = p.modules[i], &other = q.modules[i];
    const at::Tensor x = dense(one), y = dense(other);
    const double size = norm_of(x) * norm_of(y);
    EXPECT_NEAR(norm(one), norm_of(x), kTolerance * norm_of(x)) << one.path;
    EXPECT_NEAR(inner_product(one, other), (x * y).sum().item<double>(), kTolerance * size);
    EXPECT_NEAR(distance(one, other), norm_of(x - y), kTolerance * norm_of(x - y)) << one.path;
    squares += x.square().sum().item<double>();
    product += (x * y).sum().item<double>();
    difference += (x - y).square().sum().item<double>();
  }
  EXPECT_NEAR(norm(p), std::sqrt(squares), kTolerance * std::sqrt(squares));
  EXPECT_NEAR(inner_product(p, q), product, kTolerance * squares);
  EXPECT_NEAR(distance(p, q), std::sqrt(difference), kTolerance * std::sqrt(difference));
}

TEST(AdapterAlgebra, ADistanceIsExactForNeighbours) {
  const AdapterFile p = random_adapter(1, 8);
  EXPECT_LE(distance(p, p), 1e-12 * norm(p));
  AdapterModule near = p.modules[0];
  near.b = near.b.clone();
  near.b[3][1] += 1e-3;
  const double expected = norm_of(dense(near) - dense(p.modules[0]));
  EXPECT_NEAR(distance(near, p.modules[0]), expected, kTolerance * expected);
}

TEST(AdapterAlgebra, AModuleOfOneAdapterStandsAgainstZero) {
  const AdapterFile p = random_adapter(1, 8);
  AdapterFile q = random_adapter(2, 8);
  q.modules.erase(q.modules.begin() + 1, q.modules.end());
  AdapterFile rest = p;
  rest.modules.erase(rest.modules.begin());
  const double first = distance(p.modules[0], q.modules[0]);
  EXPECT_NEAR(distance(p, q), std::hypot(first, norm(rest)), kTolerance * norm(p));
  EXPECT_NEAR(inner_product(p, q), inner_product(p.modules[0], q.modules[0]), 1e-9);
}

TEST(AdapterAlgebra, GrowKeepsTheProductAndDrawsTheNewRows) {
  for (const AdapterModule& module : random_adapter(3, 8).modules) {
    at::Generator random = generator(7), again = generator(7);
    const std::int64_t rank = module.rank() + 3;
    const AdapterModule wide = grow(module, rank, 5, 5.0 / static_cast<double>(rank), random);
    EXPECT_EQ(wide.rank(), rank);
    EXPECT_EQ(wide.b.size(1), rank);
    EXPECT_EQ(wide.weight_shape(), module.weight_shape());
    EXPECT_EQ(wide.alpha, 5);
    expect_same(wide, dense(module), "grow");
    std::vector<std::int64_t> rows = wide.a.sizes().vec();
    rows[0] = 3;
    const double bound = 1 / std::sqrt(static_cast<double>(wide.a[0].numel()));
    const at::Tensor drawn = at::empty(rows, at::kFloat).uniform_(-bound, bound, again);
    EXPECT_TRUE(at::equal(wide.a.slice(0, module.rank()), drawn)) << module.path;
    EXPECT_FALSE(wide.b.slice(1, module.rank()).any().item<bool>());
    // Nothing to widen.
    EXPECT_TRUE(grow(module, module.rank(), 1, 1, random).a.is_same(module.a));
  }
}

TEST(AdapterAlgebra, ShrinkIsTheBestOfItsRank) {
  for (const AdapterModule& module : random_adapter(4, 8).modules) {
    const auto [u, s, v] = at::linalg_svd(dense(module), false);
    for (std::int64_t rank = 1; rank < module.rank(); ++rank) {
      const ShrunkModule small = shrink(module, rank);
      const at::Tensor best =
          at::matmul(u.slice(1, 0, rank) * s.slice(0, 0, rank), v.slice(0, 0, rank));
      const std::int64_t left = std::min(rank, std::min(u.size(0), v.size(1)));
      EXPECT_EQ(small.module.rank(), left) << module.path;
      EXPECT_EQ(small.module.weight_shape(), module.weight_shape());
      EXPECT_DOUBLE_EQ(small.module.alpha / static_cast<double>(left), module.scale);
      expect_same(small.module, best, "shrink");
      const double kept = (s.slice(0, 0, rank).square().sum() / s.square().sum()).item<double>();
      EXPECT_NEAR(small.kept, kept, kTolerance) << module.path;
    }
  }
}

TEST(AdapterAlgebra, ShrinkTellsWhatIsKeptOverAllModules) {
  const AdapterFile file = random_adapter(5, 8);
  const ShrunkFile small = shrink(file, 3);
  EXPECT_LE(small.adapter.max_rank(), 3);
  const double lost = distance(file, small.adapter) / norm(file);
  EXPECT_NEAR(small.kept, 1 - lost * lost, kTolerance);
  EXPECT_EQ(shrink(file, 64).kept, 1);
  // rsLoRA: scale = alpha / sqrt(rank).
  AdapterModule module = file.modules[0];
  module.scale = lora_scale(module.alpha, module.rank(), true);
  const ShrunkModule rs = shrink(module, 2, true);
  EXPECT_DOUBLE_EQ(lora_scale(rs.module.alpha, 2, true), module.scale);
}

TEST(AdapterAlgebra, BlendIsTheWeightedSum) {
  const AdapterFile p = random_adapter(6, 8), q = random_adapter(7, 3), r = random_adapter(8, 1);
  const Term terms[] = {{&p, 0.5}, {&q, -2}, {&r, 0}};
  const AdapterFile mixed = blend(terms);
  const AdapterFile both = concatenate(p, q);
  ASSERT_EQ(mixed.modules.size(), p.modules.size());
  for (const AdapterModule& module : p.modules) {
    const at::Tensor x = dense(module), y = dense(*q.find(module.path));
    const AdapterModule* found = mixed.find(module.path);
    expect_same(*found, x * 0.5 - y * 2, "blend");
    EXPECT_EQ(found->rank(), 2 * module.rank());
    EXPECT_EQ(found->weight_shape(), module.weight_shape());
    EXPECT_EQ(found->scale, 1);
    EXPECT_EQ(found->alpha, static_cast<double>(found->rank()));
    expect_same(*both.find(module.path), x + y, "concatenate");
  }
}

TEST(AdapterAlgebra, RescaleKeepsTheProduct) {
  for (const AdapterModule& module : random_adapter(9, 8).modules) {
    for (const bool rslora : {false, true}) {
      const AdapterModule other = rescale(module, 3, rslora);
      EXPECT_EQ(other.alpha, 3);
      EXPECT_EQ(other.scale, lora_scale(3, module.rank(), rslora));
      expect_same(other, dense(module), "rescale");
    }
    // A power of two loses nothing, so B keeps its dtype.
    EXPECT_EQ(rescale(module, 2).b.scalar_type(), module.b.scalar_type());
    expect_same(without_core(module), dense(module), "without_core");
  }
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(AdapterAlgebra, SaysWhatCannotBeComputed) {
  const AdapterFile p = random_adapter(1, 8);
  AdapterModule other = p.modules[0];
  other.a = at::randn({4, 41});
  EXPECT_EQ(message_of([&] { inner_product(p.modules[0], other); }),
            "module 'linear': the two adapters are of different models (found [24, 40] and [24, "
            "41]); take two of one base model");
  EXPECT_EQ(message_of([&] { shrink(p.modules[0], 0); }),
            "module 'linear': found rank 0, expected 1 or more");
  const Term nothing[] = {{&p, 0}};
  EXPECT_EQ(
      message_of([&] { blend(nothing); }),
      "sum of adapters: nothing to add (found 1 adapters, expected at least one with a weight "
      "other than 0); give one");
  AdapterFile dora = p;
  dora.use_dora = true;
  EXPECT_EQ(message_of([&] { concatenate(p, dora); }),
            "made/1: DoRA's magnitudes do not add up, so it cannot be summed with other adapters; "
            "take adapters that were trained without use_dora");
  AdapterFile text = p;
  text.kind = AdapterKind::llm;
  EXPECT_EQ(message_of([&] { concatenate(p, text); }),
            "made/1: an adapter for a language model cannot be summed with one for Stable "
            "Diffusion 1.5 (made/1); take adapters of one base model");
  AdapterFile more = p;
  more.others["score.weight"] = at::zeros({2, 2});
  EXPECT_EQ(message_of([&] { concatenate(more, p); }),
            "made/1: tensor 'score.weight' is not LoRA and cannot be summed; take an adapter "
            "without it");
}

constexpr double kReference = 1e-5;  // to the references' numbers, relative

nlohmann::json json_of(const Path& path) { return nlohmann::json::parse(read_file(path)); }

TEST(GoldenAdapterAlgebra, ShrinksAsTheReference) {
  const Path root = test::golden() / "llm" / "warmstart";
  const auto expected = json_of(root / "shrink.json");
  const TensorMap products = read_tensors(root / "shrink.safetensors");
  const AdapterFile source = read_adapter(root / "shrink_source_r8");
  const AdapterFile reference = read_adapter(root / "shrunk_r4");
  const std::int64_t rank = reference.max_rank();
  const ShrunkFile small = shrink(source, rank);
  EXPECT_NEAR(small.kept, expected["kept_energy_total"].get<double>(), kReference);
  EXPECT_LE(distance(small.adapter, reference), kReference * norm(reference));
  ASSERT_EQ(source.modules.size(), expected["modules"].size());
  for (const AdapterModule& module : source.modules) {
    const std::string name = "base_model.model." + module.path;
    const auto& numbers = expected["modules"][name];
    const AdapterModule* found = small.adapter.find(module.path);
    expect_same(*found, products.at("delta_rank4." + name).to(at::kDouble), "golden");
    EXPECT_EQ(found->alpha, reference.find(module.path)->alpha);
    EXPECT_NEAR(shrink(module, rank).kept, numbers["kept_energy"].get<double>(), kReference);
    EXPECT_NEAR(distance(*found, module) / norm(module), numbers["relative_error"].get<double>(),
                kReference);
  }
}

TEST(GoldenAdapterAlgebra, NormsAreThoseOfTheReferencesDeltas) {
  const Path root = test::golden() / "sd" / "lora";
  const AdapterFile adapter = read_adapter(root / "d_kohya_full_te_conv.safetensors");
  const TensorMap tensors = read_tensors(root / "merged.safetensors");
  const auto merged = json_of(root / "lora.json")["merged"];
  ASSERT_FALSE(merged.empty());
  for (const auto& [name, entry] : merged.items()) {
    const AdapterModule* module = adapter.find(
        join(entry["component"].get<std::string>(), ".", entry["module"].get<std::string>()));
    ASSERT_NE(module, nullptr) << name;
    const double expected = norm_of(tensors.at(name + ".delta").to(at::kDouble));
    EXPECT_NEAR(norm(*module), expected, kReference * expected) << name;
  }
}

}  // namespace
}  // namespace lora
