// SPDX-License-Identifier: Apache-2.0
#include "base/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lora {
namespace {

template <typename Json>
std::string message(const std::string& text) {
  try {
    parse_json<Json>(text, "a.json", "mend it");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string fields(std::size_t count) {
  std::string text = "{";
  for (std::size_t i = 0; i < count; ++i) {
    text += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";
  }
  return text + "}";
}

TEST(JsonText, MistakesAreTold) {
  struct Case {
    std::string text, message;
  };
  const Case cases[] = {
      {"[1, 2.5, \"x\", null]", "no error"},
      {"{\"a\": ", "a.json: this is not valid JSON (found an error at byte 7 of 6); mend it"},
      {"", "a.json: this is not valid JSON (found an error at byte 1 of 0); mend it"},
      {"{\"a\": NaN}",
       "a.json: this is not valid JSON (found NaN, which JSON does not have at byte 7 of 10); mend "
       "it"},
      {"[-Infinity]",
       "a.json: this is not valid JSON (found Infinity, which JSON does not have at byte 3 of 11); "
       "mend it"},
      {"[1e400]",
       "a.json: a number is too large (found one that 64 bits do not hold at byte 7 of 7); mend "
       "it"},
      {"\"caf\xe9\"", "a.json: this is not valid JSON (found an error at byte 6 of 6); mend it"},
      {std::string(200'000, '['),
       "a.json: nested too deeply (found more than 100 brackets inside each other at byte 101 of "
       "200000); mend it"},
      {"[" + std::string(50, ']') + std::string(200, '['),
       "a.json: nested too deeply (found more than 100 brackets inside each other at byte 152 of "
       "251); mend it"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(message<nlohmann::json>(c.text), c.message);
    EXPECT_EQ(message<nlohmann::ordered_json>(c.text), c.message);
    EXPECT_EQ(try_parse_json<nlohmann::json>(c.text).has_value(), c.message == "no error");
  }
}

TEST(JsonText, FieldsOfTheOutermostObjectAreTold) {
  std::string names;
  const auto json = parse_json<nlohmann::json>(R"({"a": {"x": 1}, "b": [{"y": 2}], "a": 3})",
                                               "a.json", "mend it",
                                               [&](const std::string& name) { names += name; });
  EXPECT_EQ(names, "aba");
  EXPECT_EQ(json.at("a"), 3);
}

// Keeping the order makes every new field look at all before it.
TEST(JsonText, FieldsAreLimitedWhereTheirOrderIsKept) {
  EXPECT_EQ(message<nlohmann::json>(fields(200'000)), "no error");
  EXPECT_EQ(message<nlohmann::ordered_json>(fields(10'000)), "no error");
  EXPECT_EQ(message<nlohmann::ordered_json>(fields(200'000)),
            "a.json: an object has too many fields (found more than 10000 at byte 88899 of "
            "2088891); mend it");
}

}  // namespace
}  // namespace lora
