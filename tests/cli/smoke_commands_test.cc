// SPDX-License-Identifier: Apache-2.0
// Every form of every command does its work once.
#include "cli/commands.h"
#include "io/adapters/adapter_file.h"
#include "io/adapters/gguf.h"
#include "io/image.h"
#include "tests/cli/smoke.h"

namespace lora::test {
namespace {

using testing::HasSubstr;

constexpr std::size_t kModules = 12;  // of v1: two in each of six layers

struct Smoke {
  std::string_view form;  // of the table of commands
  std::string_view part;  // what it is for, where it does several things: a group or a format
  Words words;
  std::function<void(const Ran&)> check;
};

// For all tests: v1 is a version of one step.
const Workplace& smoke_place() {
  static const Workplace place;
  static const Ran trained = place.train("v1.yaml", {"max_steps=1", "--json"});
  if (trained.code != 0) fail("lora train: ", trained.err);
  return place;
}

std::string sd(const std::string& name) { return inputs() / "sd" / name; }
std::string image_adapter() { return sd("lora/b_peft_lora_A_B.safetensors"); }
std::string pictures() { return sd("train_image/images"); }

void expect_modules(const Path& file, std::size_t modules) {
  const Path path = smoke_place() / file;
  const std::size_t found = file.extension() == ".gguf" ? read_gguf_header(path).tensors.size() / 2
                                                        : read_adapter(path).modules.size();
  EXPECT_EQ(found, modules) << file;
}

std::vector<Smoke> training_smokes() {
  const std::string blip = std::string(LORA_SOURCE_DIR) + "/tests/fixtures/blip";
  return {
      {"train", "",
       {"train", "--config", "v1.yaml", "output_dir=output/v2", "max_steps=1", "--json"},
       [](const Ran& ran) {
         EXPECT_EQ(json_of(ran).at("steps"), 1);
         EXPECT_THAT(ran.err, HasSubstr("data: 24 samples of old.jsonl ("));
         expect_modules("output/v2", kModules);
       }},
      {"prepare images", "",
       {"prepare", "images", "--input", pictures(), "--output", "pictures", "--resolution", "64",
        "--json"},
       [](const Ran& ran) {
         EXPECT_EQ(json_of(ran).at("used"), 8);
         EXPECT_EQ(read_image(smoke_place() / "pictures/008.png").image.width, 64);
       }},
      {"prepare text", "",
       {"prepare", "text", "--input", "eval.jsonl", "--output", "texts", "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("read"), 4);
         EXPECT_EQ(json.at("format"), "alpaca");
       }},
      {"prepare", "", {"prepare", "--config", "v1.yaml", "--output", "by_config", "--json"},
       [](const Ran& ran) { EXPECT_EQ(json_of(ran).at("read"), 24); }},
      {"label", "", {"label", "--input", blip, "--output", "m.csv", "--model", blip + "/model"},
       [](const Ran& ran) {
         EXPECT_EQ(ran.code, 0) << ran.err;
         EXPECT_THAT(smoke_place().read("m.csv"),
                     HasSubstr("\nimage_0.png,word14 girl word28 photo word15 run,model,"));
       }},
  };
}

std::vector<Smoke> using_smokes() {
  const std::string base = smoke_place().base();
  return {
      {"generate", kOfTexts,
       {"generate", "--base", base, "--version", "v1", "--prompt", "Lamp", "--max-tokens", "3",
        "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("prompt"), "Lamp");
         EXPECT_EQ(json.at("ids").size(), 3U);
       }},
      {"generate", kOfImages,
       {"generate", "--base", sd("tiny-sd15"), "--version", image_adapter(), "--prompt", "a cat",
        "--steps", "1", "--size", "64x72", "--output", "cat.png", "--threads", "1"},
       [](const Ran& ran) {
         ASSERT_EQ(ran.code, 0) << ran.err;
         const DecodedImage picture = read_image(smoke_place() / "cat.png");
         EXPECT_EQ(picture.image.width, 64);
         EXPECT_EQ(picture.image.height, 72);
         EXPECT_THAT(picture.text.at("parameters"), testing::StartsWith("a cat"));
       }},
      {"eval", kOfTexts,
       {"eval", "--base", base, "--version", "v1", "--data", "eval.jsonl", "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("samples"), 4);
         EXPECT_GT(json.at("loss").get<double>(), 0);
       }},
      {"eval", kOfImages, {"eval", "--base", sd("tiny-sd15"), "--data", pictures(), "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("pictures"), 8);
         EXPECT_GT(json.at("loss").get<double>(), 0);
       }},
  };
}

Smoke exports(std::string_view format, const std::string& version, const std::string& output,
              const std::string& made, std::size_t modules) {
  return {"export", format,
          {"export", "--version", version, "--format", std::string(format), "--output", output},
          [=](const Ran& ran) {
            EXPECT_EQ(ran.out, join(output, ": ", modules, " modules as ", format, "\n"));
            expect_modules(made, modules);
          }};
}

std::vector<Smoke> version_smokes() {
  return {
      exports("peft", "v1", "peft", "peft", kModules),
      exports("gguf", "v1", "v1.gguf", "v1.gguf", kModules),
      exports("diffusers", image_adapter(), "d.safetensors", "d.safetensors", 128),
      exports("kohya", image_adapter(), "k.safetensors", "k.safetensors", 128),
      {"import", "", {"import", inputs() / "llm/llama/lora", "--output", "imported/theirs"},
       [](const Ran& ran) {
         EXPECT_THAT(ran.out, HasSubstr("version theirs (4 modules for a language model, id "));
         expect_modules("imported/theirs", 4);
       }},
      {"inspect", "", {"inspect", image_adapter(), "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("dialect"), "diffusers-peft");
         EXPECT_EQ(json.at("modules"), 128);
       }},
      {"log", "", {"log", "--json"},
       [](const Ran& ran) { EXPECT_EQ(json_of(ran).at("versions").at(0).at("name"), "v1"); }},
      {"show", "", {"show", "v1"},
       [](const Ran& ran) { EXPECT_THAT(ran.out, HasSubstr("rank 4, alpha 8, 12 modules\n")); }},
      {"verify", "", {"verify", "v1"},
       [](const Ran& ran) {
         EXPECT_THAT(ran.out, testing::MatchesRegex("v1: as recorded \\([0-9]+ files\\)\n"));
       }},
  };
}

std::vector<Smoke> other_smokes() {
  return {
      {"bench text", "",
       {"bench", "text", "--preset", "llama-15m", "--batch", "1", "--length", "8", "--steps", "1",
        "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("parameters"), 24407712);
         EXPECT_GT(json.at("loss").get<double>(), 0);
       }},
      {"bench image", "",
       {"bench", "image", "--resolution", "64", "--steps", "1", "--threads", "1", "--plain",
        "--checkpointing", "--json"},
       [](const Ran& ran) {
         const Json json = json_of(ran);
         EXPECT_EQ(json.at("parameters"), 859520964);
         EXPECT_GT(json.at("loss").get<double>(), 0);
       }},
      {"help", "", {"help", "train"},
       [](const Ran& ran) { EXPECT_EQ(ran.out, help_text("train")); }},
  };
}

std::vector<Smoke> smokes() {
  std::vector<Smoke> all;
  for (const auto& part :
       {other_smokes(), training_smokes(), using_smokes(), version_smokes()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST(CliSmokeCommands, EveryFormWorks) {
  const std::vector<Smoke> all = smokes();
  std::vector<Words> commands;
  for (const Smoke& smoke : all) commands.push_back(smoke.words);
  const std::vector<Ran> results = run_each(smoke_place(), commands);
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(testing::PrintToString(all[i].words));
    EXPECT_EQ(results[i].code, 0) << results[i].err;
    if (results[i].code == 0) all[i].check(results[i]);
  }
}

// What a form does apart from another: with each kind of base model, in each format.
Names parts_of(const Form& form) {
  Names parts;
  for (const Option& option : form.options) {
    if (!option.group.empty()) parts.merge(Names{std::string(kOfTexts), std::string(kOfImages)});
    if (option.name != "--format" || form.name != "export") continue;
    for (const std::string& format : split(std::string(option.choices), ' ')) parts.insert(format);
  }
  if (parts.empty()) parts.insert("");
  return parts;
}

TEST(CliSmokeCommands, NoFormIsLeftOut) {
  std::map<std::string, Names> known, tried;
  for (const Command& command : commands()) {
    for (const Form& form : command.forms) known[std::string(form.name)] = parts_of(form);
  }
  for (const Smoke& smoke : smokes()) tried[std::string(smoke.form)].emplace(smoke.part);
  EXPECT_EQ(tried, known);
}

}  // namespace
}  // namespace lora::test
