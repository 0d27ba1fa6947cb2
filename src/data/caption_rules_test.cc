// SPDX-License-Identifier: Apache-2.0
#include "data/caption_rules.h"

#include <gtest/gtest.h>

namespace lora {
namespace {

struct Cleaning {
  const char* written;
  const char* kept;
};

TEST(CaptionRules, MarksGoAndTagsStay) {
  const Cleaning rows[] = {
      {"(smile:1.2), <lora:x:0.8> girl ,, Smile, \\(cat\\)", "smile, girl, (cat)"},
      {"1girl, ganyu (genshin impact), ^_^, :), ;), >:(, (o)_(o), standing",
       "1girl, ganyu (genshin impact), ^_^, :), ;), >:(, (o)_(o), standing"},
      {"1girl, saber_(fate), smile", "1girl, saber_(fate), smile"},
      {"ganyu \\(genshin impact\\), (masterpiece:1.2)", "ganyu (genshin impact), masterpiece"},
      {"((smile)), [blurry], (a)", "smile, blurry, (a)"},
      {"(long hair, smile), hat", "long hair, smile, hat"},
      {"(long hair, (smile)), hat", "long hair, smile, hat"},
      {"(saber (fate):1.1), ((red:1.2) hat:0.9)", "saber (fate), red hat"},
      {"a (red: 1.3) hat", "a red hat"},
      {"(:3), :3, [a:b:0.5], [a|b]", "(:3), :3, [a:b:0.5], [a|b]"},
      {":(, smile (happy), :)", ":(, smile (happy), :)"},
      {"tag (with an open bracket", "tag (with an open bracket"},
      {"zq toy,\nred sky,\r\non grass", "zq toy, red sky, on grass"},
      {"a lamp (lit), at 10:30, ratio 2:1)", "a lamp (lit), at 10:30, ratio 2:1)"},
  };
  for (const auto& [written, kept] : rows) EXPECT_EQ(apply_rules(written, {}), kept) << written;
}

TEST(CaptionRules, AsWrittenButOnOneLine) {
  const CaptionRules as_written{.trigger = {}, .prefix = {}, .suffix = {}, .clean = false};
  EXPECT_EQ(apply_rules("zq toy,\r\nred sky,\n\n  on grass \n", as_written),
            "zq toy, red sky, on grass");
  EXPECT_EQ(apply_rules("(a:1.2),  b\rc", as_written), "(a:1.2),  b c");
}

struct Trigger {
  const char* word;
  const char* caption;
  const char* trained;
};

TEST(CaptionRules, TriggerIsAWordOfItsOwn) {
  const Trigger rows[] = {
      {"rin", "a ring on a table", "rin, a ring on a table"},
      {"rin", "rin on a table", "rin on a table"},
      {"rin", "Rin, standing", "Rin, standing"},
      {"rin", "girl (rin) waves", "girl (rin) waves"},
      {"rin", "saber, rin_tohsaka", "rin, saber, rin_tohsaka"},
      {"rin", "rin's cat", "rin's cat"},
      {"cat", "concatenate", "cat, concatenate"},
      {"zq toy", "a zq  toy", "zq toy, a zq  toy"},
      {"zq toy", "a zq toy", "a zq toy"},
      {"\xe6\x98\x9f\xe7\x92\x83", "\xe6\x98\x9f\xe7\x92\x83\xe7\xab\x99\xe7\x9d\x80",
       "\xe6\x98\x9f\xe7\x92\x83\xe7\xab\x99\xe7\x9d\x80"},
      {"zq", "zq\xe7\xab\x99\xe7\x9d\x80", "zq\xe7\xab\x99\xe7\x9d\x80"},
      {"caf", "caf\xc3\xa9", "caf, caf\xc3\xa9"},
      {"rin", "", "rin"},
  };
  for (const auto& [word, caption, trained] : rows) {
    const CaptionRules rules{.trigger = word, .prefix = {}, .suffix = {}, .clean = false};
    EXPECT_EQ(apply_rules(caption, rules), trained) << word;
  }
}

TEST(CaptionRules, PartsOfTheTrigger) {
  EXPECT_EQ(trigger_parts("zq, red sky", "zq"), 1U);
  EXPECT_EQ(trigger_parts("ZQ toy, red sky", "zq"), 1U);
  EXPECT_EQ(trigger_parts("zq, toy, red sky", "zq, toy"), 2U);
  EXPECT_EQ(trigger_parts("zqx, red sky", "zq"), 0U);
  EXPECT_EQ(trigger_parts("red sky, zq", "zq"), 0U);
  EXPECT_EQ(trigger_parts("red sky", ""), 0U);
}

// What only looks like marks costs no more than other letters.
TEST(CaptionRules, BracketsAreReadOnce) {
  const std::string open(300'000, '(');
  EXPECT_EQ(apply_rules(open, {}), open);
  EXPECT_EQ(apply_rules(open + "word" + std::string(300'000, ')'), {}), "word");
  std::string weights;
  for (int i = 0; i < 100'000; ++i) weights += "(a:1)";
  EXPECT_EQ(apply_rules(weights, {}), std::string(100'000, 'a'));
}

}  // namespace
}  // namespace lora
