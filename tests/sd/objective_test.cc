// SPDX-License-Identifier: Apache-2.0
// What the image objective adds to the loss: order, class pictures, validation.
#include "runs/image_data.h"
#include "tests/sd/pictures.h"
#include "train/image_objective.h"

namespace lora {
namespace {

using test::sd_golden;

// The tiny model with pictures of one size to train on and class pictures of any other size.
class GoldenSdObjective : public testing::Test {
 protected:
  GoldenSdObjective()
      : model_(test::load_golden("tiny-sd15")),
        prompts_(SdPrompts::load(sd_golden("tiny-sd15"), model_->kind())),
        options_(
            test::picture_options(test::golden_json("train_image/expected.json").at("images"))),
        cache_({}, "", options_) {
    for (const ImageRecord& record : test::read_records(options_)) {
      const bool first = own_.empty() || record.fit.bucket == own_.front().fit.bucket;
      (first ? own_ : others_).push_back(record);
    }
  }

  struct Pair {
    std::unique_ptr<ImageSource> source;
    std::unique_ptr<ImageObjective> objective;
  };
  Pair make(const std::vector<ImageRecord>& prior, double weight) {
    Pair pair;
    Config config;
    config.length.batch_size = 2;
    pair.source = std::make_unique<ImageSource>(entries(own_), std::vector<ImageEntry>(),
                                                entries(prior), config);
    ImageTask task{.sd = *model_, .prompts = prompts_, .source = *pair.source};
    task.fresh = {own_, &cache_};
    task.prior = {prior, &cache_};
    task.validation = {own_, &cache_};
    task.schedule = model_->config().schedule;
    task.loss.prior_weight = weight;
    pair.objective = std::make_unique<ImageObjective>(std::move(task));
    return pair;
  }
  double next_loss(const std::vector<ImageRecord>& prior, double weight) {
    const at::NoGradGuard no_grad;
    const Loss loss = make(prior, weight).objective->next();
    EXPECT_EQ(loss.count, 2);
    return loss.sum.item<double>() / loss.count;
  }

  std::unique_ptr<StableDiffusion> model_;
  SdPrompts prompts_;
  ImageDataOptions options_;
  LatentCache cache_;
  std::vector<ImageRecord> own_, others_;
};

// Of the same size in one pass, of another size one by one: their loss counts by its weight.
TEST_F(GoldenSdObjective, class_pictures_of_any_size_count) {
  ASSERT_GE(own_.size(), 2U);
  ASSERT_GE(others_.size(), 2U);
  for (const auto& prior : {own_, others_}) {
    const double without = next_loss(prior, 0);
    const double once = next_loss(prior, 1) - without;
    EXPECT_GT(once, 1e-3);
    EXPECT_NEAR(next_loss(prior, 2) - without, 2 * once, 1e-5);
  }
}

TEST_F(GoldenSdObjective, continues_where_it_stood) {
  const at::NoGradGuard no_grad;
  const Pair whole = make({}, 1), rest = make({}, 1);
  for (int i = 0; i < 3; ++i) whole.objective->next();
  const auto state = whole.objective->state();
  rest.objective->restore(state);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(whole.objective->next().sum.equal(rest.objective->next().sum));
    EXPECT_EQ(whole.objective->describe_last(), rest.objective->describe_last());
  }
}

TEST_F(GoldenSdObjective, validation_is_the_same_every_time) {
  const Pair pair = make({}, 1);
  const Validation before = pair.objective->validate().at(0);
  {
    const at::NoGradGuard no_grad;
    pair.objective->next();
  }
  const Validation after = pair.objective->validate().at(0);
  EXPECT_EQ(before.name, "validation");
  EXPECT_TRUE(before.loss.sum.equal(after.loss.sum));
  EXPECT_EQ(before.loss.count, 4.0 * static_cast<double>(own_.size()));
}

}  // namespace
}  // namespace lora
