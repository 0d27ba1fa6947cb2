// SPDX-License-Identifier: Apache-2.0
#include "versions/version.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "versions/store_fixture.h"

namespace lora {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The manifest after `edit`, with the id that it then has.
template <typename Edit>
std::string edited(Edit edit) {
  Version version;
  version.run.tool_version = "9.9.0";
  json manifest = json::parse(version_json(version));
  manifest.erase("id");
  edit(manifest);
  manifest["id"] = sha256(manifest.dump());
  return manifest.dump();
}

std::string refusal(const std::string& text) {
  return message_of([&] { parse_version(text, "v1/version.json"); }, Exit::integrity);
}

TEST(Manifest, AnUnknownSchemaIsRefusedByName) {
  for (const json& schema : {json(99), json(2), json(0), json("1"), json(1.5)}) {
    EXPECT_EQ(
        refusal(edited([&](json& manifest) { manifest["schema"] = schema; })),
        "v1/version.json: a manifest that this release does not know (found schema " +
            schema.dump() +
            ", written by lora 9.9.0, expected schema 1); use the release that wrote it, or a "
            "newer one");
  }
  EXPECT_EQ(parse_version(edited([](json&) {}), "x").schema, 1);
  EXPECT_EQ(parse_version(edited([](json& manifest) { manifest.erase("schema"); }), "x").schema, 1);
}

TEST(Manifest, NumbersThatAreNoneAreRefused) {
  const std::string head = "v1/version.json: not a manifest that this program reads (";
  const auto with = [](const char* part, const char* key, const json& value) {
    return edited([&](json& manifest) { manifest[part][key] = value; });
  };
  EXPECT_EQ(refusal(with("weights", "rank", 1e300)),
            head + "[json.exception.type_error.302] expected a whole number, found 1e+300); use "
                   "the program that wrote it");
  EXPECT_EQ(refusal(with("weights", "alpha", nullptr)),
            head + "[json.exception.type_error.302] expected a number, found null); use the "
                   "program that wrote it");
  EXPECT_EQ(refusal(edited([](json& manifest) {
              manifest["schema"] = 9;
              manifest["run"] = "text";
            })),
            "v1/version.json: a manifest that this release does not know (found schema 9, written "
            "by lora ?, expected schema 1); use the release that wrote it, or a newer one");
  for (const json& run : {json::array({1}), json({{"tool_version", 7}}), json(nullptr)}) {
    EXPECT_THAT(refusal(edited([&](json& manifest) {
                  manifest["schema"] = 2;
                  manifest["run"] = run;
                })),
                HasSubstr("(found schema 2, written by lora ?, expected schema 1)"));
  }
  EXPECT_THAT(refusal("{\"id\": \"x\", \"a\": " + std::string(200'000, '[') + "}"),
              HasSubstr("not a manifest of a version"));
}

// 0.1.0 wrote template.bos_policy, template.eos_policy and status; its ids cover them.
TEST(Manifest, FieldsOfOtherReleasesAreCoveredByTheId) {
  const std::string text = edited([](json& manifest) {
    manifest["status"] = "committed";
    manifest["template"]["bos_policy"] = "";
  });
  const Version version = parse_version(text, "x");
  EXPECT_EQ(version.id, json::parse(text).at("id"));
  std::string changed = text;
  changed.replace(changed.find("committed"), 9, "COMMITTED");
  EXPECT_THAT(refusal(changed), HasSubstr("the manifest was changed after the commit"));
}

TEST(Manifest, EveryFieldIsVisitedByItsPath) {
  Version version;
  version.parents = {{"v1", "abc", ""}, {"v2", "def", ""}};
  version.weights.ranks = {{"layers.0.q_proj", 8}};
  version.weights.targets = {"q_proj", "v_proj"};
  std::map<std::string, std::string> fields;
  for_each_field(version, [&](const std::string& path, const json& value) {
    EXPECT_TRUE(fields.emplace(path, value.dump()).second) << path;
  });
  EXPECT_EQ(fields.at("schema"), "1");
  EXPECT_EQ(fields.at("parents.1.name"), "\"v2\"");
  EXPECT_EQ(fields.at("weights.ranks.layers.0.q_proj"), "8");
  EXPECT_EQ(fields.at("weights.targets"), "[\"q_proj\",\"v_proj\"]");
  EXPECT_EQ(fields.at("metrics"), "{}");
  EXPECT_EQ(fields.at("preflight"), "[]");
  EXPECT_FALSE(fields.contains("id"));
}

TEST(Manifest, ADifferenceNamesTheFields) {
  Version a;
  a.name = "v1";
  a.recipe.seed = 1;
  a.metrics = {{"loss", 0.5}};
  EXPECT_THAT(diff_versions(a, a), IsEmpty());
  Version b = a;
  b.name = "v2";
  b.recipe.epochs = 3;
  b.metrics = {{"probe_loss", 0.25}};
  std::vector<std::string> lines;
  for (const FieldChange& change : diff_versions(a, b)) {
    lines.push_back(change.field + ": " + change.before + " -> " + change.after);
  }
  EXPECT_THAT(lines, ElementsAre("metrics.loss: 0.5 -> ", "metrics.probe_loss:  -> 0.25",
                                 "name: \"v1\" -> \"v2\"", "recipe.epochs: 0.0 -> 3.0"));
}

}  // namespace
}  // namespace lora
