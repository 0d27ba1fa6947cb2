// SPDX-License-Identifier: Apache-2.0
#include "data/near_duplicates.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/text.h"
#include "data/shuffle.h"

namespace lora {
namespace {

// A text of `count` words out of a vocabulary, fixed by `seed`.
std::vector<std::string> random_words(std::int64_t seed, int count) {
  Random random(seed, "words", 0);
  std::vector<std::string> words;
  for (int i = 0; i < count; ++i) {
    std::string word;
    for (std::size_t number = 1 + random.below(5000); number > 0; number /= 26) {
      word += static_cast<char>('a' + number % 26);
    }
    words.push_back(word);
  }
  return words;
}

// Jaccard of the runs of three words, the plain way.
double by_definition(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto runs = [](const std::vector<std::string>& words) {
    std::set<std::string> out;
    for (std::size_t i = 0; i + 2 < words.size(); ++i) {
      out.insert(words[i] + " " + words[i + 1] + " " + words[i + 2]);
    }
    return out;
  };
  const std::set<std::string> x = runs(a), y = runs(b);
  double common = 0;
  for (const std::string& run : x) common += static_cast<double>(y.count(run));
  return common / (static_cast<double>(x.size() + y.size()) - common);
}

}  // namespace

TEST(NearDuplicates, NormalisesSpelling) {
  EXPECT_EQ(normalised_text("  The\tLAMP\r\n\r\nis on. "), "the lamp is on.");
  EXPECT_EQ(normalised_text("\xEF\xBC\xA1\xEF\xBC\xA2 caf\x65\xCC\x81"), "ab caf\xC3\xA9");
  EXPECT_EQ(normalised_text("\xC3\x89T\xC3\x89\xC2\xA0X"), "\xC3\xA9t\xC3\xA9 x");
  EXPECT_EQ(normalised_text(""), "");
}

TEST(NearDuplicates, FindsEqualTexts) {
  NearDuplicates texts;
  EXPECT_EQ(texts.add("How do I reset the lamp?"), 0U);
  EXPECT_EQ(texts.add("Yes"), 1U);
  const auto same = texts.find("how  do I RESET the lamp?\n");
  ASSERT_TRUE(same);
  EXPECT_EQ(same->index, 0U);
  EXPECT_TRUE(same->equal);
  EXPECT_EQ(texts.find("yes")->index, 1U);
  EXPECT_FALSE(texts.find("no"));
  EXPECT_FALSE(texts.find(""));
}

TEST(NearDuplicates, SimilarityIsExact) {
  for (std::int64_t seed = 0; seed < 200; ++seed) {
    const std::vector<std::string> words = random_words(seed, 60);
    std::vector<std::string> other = words;
    Random random(seed, "changes", 0);
    for (std::int64_t i = 0; i < seed % 8; ++i) other[random.below(other.size())] = "changed";
    const double expected = by_definition(words, other);
    NearDuplicates texts(0.5);
    texts.add(join_words(words, " "));
    const auto found = texts.find(join_words(other, " "));
    ASSERT_EQ(found.has_value(), expected >= 0.5) << seed << " " << expected;
    if (!found) continue;
    EXPECT_NEAR(found->similarity, expected, 1e-12);
  }
}

// Recall and precision at the threshold, over many texts at once.
TEST(NearDuplicates, OverlooksNoPairAndInventsNone) {
  NearDuplicates texts;
  std::vector<std::vector<std::string>> all;
  for (std::int64_t seed = 0; seed < 500; ++seed) {
    all.push_back(random_words(seed, 80));
    texts.add(join_words(all.back(), " "));
  }
  int near = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<std::string> other = all[i];
    Random random(static_cast<std::int64_t>(i), "more changes", 0);
    for (std::size_t k = 0; k < i % 6; ++k) other[random.below(other.size())] = "changed";
    const double expected = by_definition(all[i], other);
    const auto found = texts.find(join_words(other, " "));
    ASSERT_EQ(found.has_value(), expected >= 0.8) << i << " " << expected;
    if (!found) continue;
    EXPECT_EQ(found->index, i);
    ++near;
  }
  EXPECT_GT(near, 200);
  EXPECT_LT(near, 450);
  EXPECT_FALSE(texts.find(join_words(random_words(1000, 80), " ")));
}

TEST(NearDuplicates, OneOtherNumberIsAnotherText) {
  const std::string text = join_words(random_words(1, 60), " ");
  NearDuplicates texts;
  texts.add(text + " invoice 4711");
  EXPECT_TRUE(texts.find(text + " the invoice 4711"));
  EXPECT_FALSE(texts.find(text + " invoice 4712"));
}

TEST(NearDuplicates, CountsCharactersWhereWordsHaveNoBlanks) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += "\xE7\x81";
    text += static_cast<char>(0x80 + i);
  }
  NearDuplicates texts;
  texts.add(text);
  EXPECT_TRUE(texts.find(text + "\xE3\x80\x82"));  // an ideographic full stop more
  EXPECT_FALSE(texts.find(text.substr(0, 60)));
}

TEST(NearDuplicates, ThresholdOneMeansEqual) {
  const std::string text = join_words(random_words(2, 100), " ");
  NearDuplicates texts(1);
  texts.add(text);
  EXPECT_TRUE(texts.find(text));
  EXPECT_FALSE(texts.find(text + " more"));
  EXPECT_THROW(NearDuplicates(0), Error);
  EXPECT_THROW(NearDuplicates(1.5), Error);
}

}  // namespace lora
