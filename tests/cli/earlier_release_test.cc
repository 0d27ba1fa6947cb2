// SPDX-License-Identifier: Apache-2.0
// tests/fixtures/version-0.1.0: a version as release 0.1.0 committed it, trained from
// examples/llm/base on old.jsonl (run.h), 12 steps, rank 2. Its manifest has fields that are gone.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

// The output folder of 0.1.0, in a copy.
std::string earlier_output() {
  static const bool copied = [] {
    fs::copy(std::string(LORA_SOURCE_DIR) + "/tests/fixtures/version-0.1.0/output",
             workplace() / "earlier", fs::copy_options::recursive);
    return true;
  }();
  return copied ? "earlier" : "";
}

TEST(CliEarlierRelease, AVersionIsReadAndVerified) {
  const std::string root = earlier_output();
  const json manifest = json::parse(workplace().read("earlier/support_v1/version.json"));
  EXPECT_EQ(manifest.at("status"), "committed");
  EXPECT_EQ(manifest.at("run").at("tool_version"), "0.1.0");
  const Ran verified = workplace().lora({"verify", "--root", root});
  EXPECT_EQ(verified.code, 0);
  EXPECT_EQ(verified.out, "support_v1: as recorded (8 files)\n");
  EXPECT_THAT(workplace().lora({"log", "--root", root}).out,
              HasSubstr("support_v1  7c798291f967  2026-11-28T07:03:44Z  from the base  24 new "
                        "samples  loss 7.703"));
  EXPECT_EQ(json::parse(workplace().lora({"show", "latest", "--root", root, "--json"}).out),
            manifest);
  EXPECT_THAT(workplace().lora({"show", "support_v1", "--output", root}).out,
              HasSubstr("rank 2, alpha 4, 12 modules\n"));
}

TEST(CliEarlierRelease, AVersionIsContinued) {
  earlier_output();
  const Workplace& place = workplace();
  const Ran run = place.train("v2.yaml", {"init_lora_weights=support_v1",
                                          "output_dir=./earlier/support_v2", "max_steps=2"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("warm start: 12 of 12 modules (24 tensors), rank 2, scale 2, "
                                 "parent support_v1\n"));
  EXPECT_THAT(run.err, HasSubstr(": the parent is reproduced\n"));
  EXPECT_THAT(run.err, HasSubstr("replay: 24 old samples an epoch, of 24 of the parent's\n"));
  EXPECT_EQ(place.lora({"verify", "--root", "earlier"}).code, 0);
  EXPECT_THAT(place.lora({"show", "latest", "--root", "earlier"}).out,
              HasSubstr("lineage       support_v2 <- support_v1\n"));
}

TEST(CliEarlierRelease, ANewerSchemaIsRefusedByName) {
  earlier_output();
  const Workplace& place = workplace();
  json manifest = json::parse(place.read("earlier/support_v1/version.json"));
  manifest.erase("id");
  manifest["schema"] = 99;
  manifest["run"]["tool_version"] = "9.0.0";
  manifest["id"] = sha256(manifest.dump());
  fs::create_directories(place / "newer");
  fs::copy(place / "earlier/support_v1", place / "newer/v1");
  fs::remove(place / "newer/v1/version.json");
  place.write("newer/v1/version.json", manifest.dump());
  const std::string text =
      "newer/v1/version.json: a manifest that this release does not know (found schema 99, written "
      "by lora 9.0.0, expected schema 1); use the release that wrote it, or a newer one";
  const Ran shown = place.lora({"show", "v1", "--root", "newer"});
  EXPECT_EQ(shown.code, 3);
  EXPECT_EQ(shown.err, "lora: " + text + "\n");
  const Ran verified = place.lora({"verify", "v1", "--root", "newer"});
  EXPECT_EQ(verified.code, 3);
  EXPECT_THAT(verified.out, HasSubstr(text));
  const Ran evaluated = place.lora({"eval", "--base", place.base(), "--version", "v1", "--root",
                                    "newer", "--data", "eval.jsonl", "--json"});
  EXPECT_EQ(evaluated.code, 3);
  EXPECT_EQ(evaluated.err, "lora: " + text + "\n");
  EXPECT_THAT(place.lora({"log", "--root", "newer"}).out, HasSubstr("v1  " + text));
}

// What may not be called so any more is named by its path.
TEST(CliEarlierRelease, AVersionWithAReservedNameIsFoundByItsPath) {
  earlier_output();
  const Workplace& place = workplace();
  fs::create_directories(place / "output");
  fs::copy(place / "earlier/support_v1", place / "output/base");
  EXPECT_THAT(place.lora({"log"}).out,
              HasSubstr("  (its name stands for the base model without an adapter: write "
                        "output/base)\n"));
  const Ran named = place.lora({"show", "base"});
  EXPECT_EQ(named.code, 2);
  EXPECT_EQ(named.err,
            "lora: version 'base': stands for the base model without an adapter; write output/base "
            "for the version of this name\n");
  EXPECT_EQ(place.lora({"show", "output/base"}).code, 0);
  const Ran halved = place.lora({"generate", "--base", place.base(), "--version", "base:0.5",
                                 "--prompt", "Hello"});
  EXPECT_EQ(halved.code, 2);
  EXPECT_EQ(halved.err,
            "lora: --version base:0.5: the base model without an adapter takes no weight (found "
            "0.5, expected base alone); write base, or output/base:0.5 for the version of this "
            "name\n");
  const Ran bare = place.lora(
      {"eval", "--base", place.base(), "--version", "base", "--data", "eval.jsonl", "--json"});
  EXPECT_EQ(json::parse(bare.out).at("version"), "base");
  EXPECT_THAT(bare.err,
              HasSubstr("warning: --version base: the base model without an adapter; write "
                        "output/base for the version of this name\n"));
  fs::remove_all(place / "output/base");
}

TEST(CliEarlierRelease, NewVersionsHaveNoSuchNames) {
  const Workplace& place = workplace();
  for (const char* name : {"base", "latest", "current", "gaussian", "olora"}) {
    const Ran run = place.train("v1.yaml", {join("output_dir=./output/", name), "--check"});
    EXPECT_EQ(run.code, 2) << name;
    EXPECT_THAT(run.err, HasSubstr(join("output_dir: its last part is a reserved word (found '",
                                        name, "', which stands for ")));
    const Ran imported = place.lora({"import", "output/v1", "--output", join("output/", name)});
    EXPECT_EQ(imported.code, 2) << name;
    EXPECT_THAT(imported.err, HasSubstr(join("lora: output/", name,
                                             ": its last part is a reserved word (found '", name)));
  }
  EXPECT_THAT(place.lora({"import", "output/v1", "--output", "output/a:b"}).err,
              HasSubstr("its last part is no name for a version (found 'a:b', expected letters"));
}

}  // namespace
}  // namespace lora::test
