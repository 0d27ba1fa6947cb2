// SPDX-License-Identifier: Apache-2.0
#include "base/json_reader.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"

namespace lora {
namespace {

using Json = nlohmann::json;
using Reader = JsonReader<Json>;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(JsonReader, GivesTypedValues) {
  const Json json = {{"r", 8},          {"alpha", 1.5},      {"on", true},
                     {"name", "a"},     {"gone", nullptr},   {"names", {"a", "b"}},
                     {"sizes", {1, 2}}, {"rope", {{"f", 2}}}};
  const Reader in(json, "a.json", "mend it");
  EXPECT_EQ(in.whole("r"), 8);
  EXPECT_EQ(in.count("r", 3), 8);
  EXPECT_EQ(in.number("r"), 8.0);
  EXPECT_EQ(in.positive("alpha"), 1.5);
  EXPECT_TRUE(in.flag("on"));
  EXPECT_EQ(in.text("name"), "a");
  EXPECT_EQ(in.texts("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(in.wholes("sizes"), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(in.inside("rope").whole("f"), 2);
  // null counts as absent.
  EXPECT_FALSE(in.has("gone"));
  EXPECT_EQ(in.whole("gone", -1), -1);
  EXPECT_FALSE(in.inside("gone").has("f"));
}

struct Wrong {
  std::function<void(const Reader&)> read;
  const char* message;
};

TEST(JsonReader, NamesPathAndKindOfWhatIsWrong) {
  const Json json = {{"r", "8"},
                     {"zero", 0},
                     {"half", 0.5},
                     {"huge", 18446744073709551615U},
                     {"names", {"a", 1}},
                     {"rope", {{"f", "größe"}}},
                     {"long", std::string(100, 'x')}};
  const Wrong rows[] = {
      {[](const Reader& in) { in.whole("r"); },
       "a.json: 'r': found \"8\", expected a whole number; mend it"},
      {[](const Reader& in) { in.count("zero"); },
       "a.json: 'zero': found 0, expected a whole number above 0; mend it"},
      {[](const Reader& in) { in.whole("half"); },
       "a.json: 'half': found 0.5, expected a whole number; mend it"},
      {[](const Reader& in) { in.whole("huge"); },
       "a.json: 'huge': found 18446744073709551615, expected a whole number; mend it"},
      {[](const Reader& in) { in.positive("zero"); },
       "a.json: 'zero': found 0, expected a number above 0; mend it"},
      {[](const Reader& in) { in.flag("zero"); },
       "a.json: 'zero': found 0, expected true or false; mend it"},
      {[](const Reader& in) { in.texts("names"); },
       "a.json: 'names': found [\"a\",1], expected a list of texts; mend it"},
      {[](const Reader& in) { in.text("none"); },
       "a.json: 'none' is missing (expected a text); mend it"},
      {[](const Reader& in) { in.inside("rope").number("f"); },
       "a.json: 'rope.f': found \"gr\\u00f6\\u00dfe\", expected a number; mend it"},
      {[](const Reader& in) { in.inside("rope").list("g"); },
       "a.json: 'rope.g' is missing (expected a list); mend it"},
      {[](const Reader& in) { in.inside("r"); },
       "a.json: 'r': found \"8\", expected an object; mend it"},
      {[](const Reader& in) { in.number("long"); },
       "a.json: 'long': found \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.., "
       "expected a number; mend it"},
  };
  const Reader in(json, "a.json", "mend it");
  for (const Wrong& row : rows) EXPECT_EQ(message_of([&] { row.read(in); }), row.message);
}

TEST(JsonReader, RefusesWhatIsNoObject) {
  const auto message = [](const std::string& text) {
    return message_of([&] { parse_json_object<Json>(text, "a.json", "mend it"); });
  };
  EXPECT_EQ(message("{\"a\": [1]}"), "no error");
  EXPECT_EQ(message("{\"a\": "),
            "a.json: this is not valid JSON (found an error at byte 7 of 6); mend it");
  EXPECT_EQ(message("[1]"), "a.json: this is not a JSON object (found array); mend it");
}

TEST(JsonReader, RefusesNestingBombs) {
  const auto nested = [](int depth, const std::string& inner) {
    return "{\"a\": " + std::string(depth - 1, '[') + inner + std::string(depth - 1, ']') + "}";
  };
  const auto message = [](const std::string& text) {
    return message_of([&] { parse_json_object<Json>(text, "a.json", "mend it"); });
  };
  EXPECT_EQ(message(nested(kDeepestJson, "1")), "no error");
  EXPECT_EQ(message(nested(kDeepestJson, R"("[[ \" {{")")), "no error");  // brackets in a text
  EXPECT_EQ(message(nested(200000, "1")),
            "a.json: nested too deeply (found more than 100 brackets inside each other at byte "
            "106 of 400006); mend it");
}

}  // namespace
}  // namespace lora
