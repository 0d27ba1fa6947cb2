// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora {
namespace {

struct Row {
  const char* pattern;
  const char* text;
  bool matches;
};

// What Python 3.11's re.fullmatch answers.
constexpr Row kRows[] = {
    {"q_proj", "q_proj", true},
    {"q_proj", "xq_proj", false},
    {"q|q_proj", "q_proj", true},  // an alternative that ends too early is given up
    {R"(.*\.(?P<side>q|k)_proj)", "layers.0.q_proj", true},
    {R"((?P<part>ab)-(?P=part))", "ab-ab", true},
    {R"((?P<part>ab)-(?P=part))", "ab-ba", false},
    {R"(.*(?<!visual\.)q_proj)", "text.q_proj", true},
    {R"(.*(?<!visual\.)q_proj)", "visual.q_proj", false},
    {R"((?!.*vision).*(?<=self_attn\.)q_proj)", "model.self_attn.q_proj", true},
    {R"((?!.*vision).*(?<=self_attn\.)q_proj)", "vision.self_attn.q_proj", false},
    {R"(a\Z)", "a", true},
    {R"([\\Z]+)", "Z\\", true},
    {"a{,2}b", "aab", true},
    {"a{,2}b", "aaab", false},
    {R"(layers\.\d+\.\w+)", "layers.12.größe", true},
    {R"(a\sb)",
     "a\xC2\xA0"
     "b",
     true},
    {R"(a[\s_]b)",
     "a\xE1\xA0\x8E"
     "b",
     false},  // U+180E is no white space
    {R"(a[[:digit:]\s]b)", "a b", true},
    {"(?i)Q_PROJ", "q_proj", true},
    {"", "", true},
    {"", "a", false},
};

TEST(Regex, MatchesAsPythonsFullmatch) {
  for (const Row& row : kRows) {
    EXPECT_EQ(Regex(row.pattern, "here", "mend it").matches(row.text), row.matches)
        << row.pattern << " on " << row.text;
  }
}

std::string message_of(const char* pattern) {
  try {
    const Regex made(pattern, "a.yaml:3: target_modules", "mend it");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Regex, NamesPatternAndPositionOfAMistake) {
  EXPECT_EQ(message_of("(q_proj"),
            "a.yaml:3: target_modules: '(q_proj' is not a regular expression (found missing "
            "closing parenthesis at character 8); mend it");
  // Counted in the pattern as it was written, whatever it is translated to; in characters.
  EXPECT_EQ(message_of("\\s\\Sö*+?)"),
            "a.yaml:3: target_modules: '\\s\\Sö*+?)' is not a regular expression (found quantifier "
            "does not follow a repeatable item at character 8); mend it");
  EXPECT_EQ(regex_mistake("[q"), "missing terminating ] for character class at character 3");
  EXPECT_EQ(regex_mistake("q_proj"), std::nullopt);
}

TEST(Regex, EndsCatastrophesWithAnError) {
  for (const RegexDialect dialect : {RegexDialect::python, RegexDialect::oniguruma}) {
    const Regex hopeless("(?:a+)+[bc]", "here", "mend it", dialect);
    try {
      hopeless.find(std::string(64, 'a') + "!", 0);
      FAIL();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "here: the regular expression '(?:a+)+[bc]' tries too many ways to match (found "
                   "match limit exceeded at byte 0 of a text of 65); write it without repetitions "
                   "inside repetitions");
    }
  }
}

TEST(Regex, FindsTheFirstMatchThatIsNotEmpty) {
  const Regex word(R"(\p{L}*)", "here", "mend it", RegexDialect::oniguruma);
  const auto found = word.find("1 größe 2", 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->begin, 2U);
  EXPECT_EQ(found->end, 9U);
  EXPECT_FALSE(word.find("1 größe 2", 9));
  EXPECT_FALSE(word.find("", 0));
  // \Z: before a last line end in Oniguruma, at the very end in Python.
  EXPECT_TRUE(Regex("a\\Z", "here", "mend it", RegexDialect::oniguruma).find("a\n", 0));
  EXPECT_FALSE(Regex("a\\Z", "here", "mend it").find("a\n", 0));
}

}  // namespace
}  // namespace lora
