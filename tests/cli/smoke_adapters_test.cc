// SPDX-License-Identifier: Apache-2.0
// Every dialect of adapters, continued from and measured: dialects of one adapter give one loss.
#include "io/adapters/adapter_writer.h"
#include "io/adapters/cloneofsimo.h"
#include "io/adapters/dialects.h"
#include "tests/cli/smoke.h"

namespace lora::test {
namespace {

struct DialectRow {
  std::string dialect;
  std::string file;      // of golden/sd/lora
  std::string function;  // rows of the same one are one adapter
  std::size_t modules;
};

const std::vector<DialectRow>& image_dialects() {
  static const std::vector<DialectRow> rows = {
      {"diffusers-peft", "b_peft_lora_A_B", "attention", 128},
      {"diffusers", "a_diffusers_lora_down_up", "attention", 128},
      {"diffusers-old", "e_processor_to_q_lora", "attention", 128},
      {"kohya", "c_kohya_attn", "attention", 128},
      {"cloneofsimo", "", "attention", 128},
      {"comfyui", "", "attention", 128},
      {"diffusers-linear-layer", "h_te_lora_linear_layer", "text", 12},
      {"diffusers-linear-layer", "i_te_without_text_model_prefix", "text", 12}};
  return rows;
}

Path lora_file(const std::string& name) {
  return inputs() / "sd/lora" / (name + ".safetensors");
}

// The adapter of the attention layers under cloneofsimo's numbers.
void write_cloneofsimo(const Path& path) {
  const AdapterFile adapter = read_adapter(lora_file("b_peft_lora_A_B"));
  TensorMap tensors;
  for (int i = 0; i < 16 * 9; ++i) {
    const std::string down = join("unet:", i, ":down"), up = join("unet:", i, ":up");
    const AdapterModule* module = adapter.find(cloneofsimo_key(down, {}, "")->module);
    if (module == nullptr) continue;  // of the feed-forward network
    tensors[down] = module->a;
    tensors[up] = module->b * module->scale;
  }
  write_tensors(path, tensors);
}

// The adapter of the attention layers under the names of ComfyUI's model.
void write_comfyui(const Path& path) {
  TensorMap tensors;
  for (const AdapterModule& module : read_adapter(lora_file("b_peft_lora_A_B")).modules) {
    const std::string name = "diffusion_model." + module.path.substr(std::string("unet.").size());
    tensors[name + ".lora_A.weight"] = module.a;
    tensors[name + ".lora_B.weight"] = module.b * module.scale;
  }
  write_tensors(path, tensors);
}

// Their files in the folder, called N.safetensors.
std::vector<std::string> collect(const Workplace& place) {
  std::vector<std::string> names;
  for (const DialectRow& row : image_dialects()) {
    names.push_back(join(names.size(), ".safetensors"));
    if (row.dialect == "cloneofsimo") {
      write_cloneofsimo(place / names.back());
    } else if (row.dialect == "comfyui") {
      write_comfyui(place / names.back());
    } else {
      fs::copy_file(lora_file(row.file), place / names.back());
    }
    EXPECT_EQ(read_adapter(place / names.back()).dialect, row.dialect) << row.file;
  }
  return names;
}

std::string picture_run(const Workplace& place) {
  write_captioned(place, "pictures");
  const std::string base = inputs() / "sd/tiny-sd15";
  place.write("c.yaml", join("task_type: text-to-image\nbase_model: ", base,
                             "\ntrain_data_dir: pictures\nresolution: 64\nmax_steps: 1\n",
                             "threads: 1\n"));
  return base;
}

TEST(CliSmokeAdapters, ImageDialectsAreContinued) {
  const Workplace place;
  picture_run(place);
  std::vector<Words> commands;
  for (const std::string& file : collect(place)) {
    const bool text = image_dialects()[commands.size()].function == "text";
    commands.push_back({"train", "--config", "c.yaml", "--json", "init_lora_weights=" + file,
                        join("output_dir=output/v", commands.size()),
                        join("train_text_encoder=", text ? "true" : "false")});
  }
  const std::vector<Ran> results = run_each(place, commands);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const DialectRow& row = image_dialects()[i];
    SCOPED_TRACE(row.dialect + " " + row.file);
    EXPECT_EQ(json_of(results[i]).at("steps"), 1);
    EXPECT_THAT(results[i].err,
                testing::HasSubstr(join("warm start: ", row.modules, " of ", row.modules,
                                        " modules (", 2 * row.modules, " tensors), rank 4, ")));
  }
}

TEST(CliSmokeAdapters, DialectsOfOneImageAdapterHaveOneLoss) {
  const Workplace place;
  Words words = eval(picture_run(place), "pictures");
  words.insert(words.end(), {"--version", "base"});
  for (const std::string& file : collect(place)) words.insert(words.end(), {"--version", file});
  const Json results = json_of(place.lora(words)).at("results");
  ASSERT_EQ(results.size(), image_dialects().size() + 1);
  std::map<std::string, double> losses = {{"none", results[0].at("loss").get<double>()}};
  for (std::size_t i = 0; i < image_dialects().size(); ++i) {
    const DialectRow& row = image_dialects()[i];
    const double loss = results[i + 1].at("loss");
    const double first = losses.emplace(row.function, loss).first->second;
    EXPECT_NEAR(loss, first, 1e-6) << row.dialect << " " << row.file;
  }
  Names different;
  for (const auto& [function, loss] : losses) different.insert(std::to_string(loss));
  EXPECT_EQ(different.size(), 3U) << "an adapter did nothing";
}

// PEFT's folder and the file in it.
TEST(CliSmokeAdapters, AnAdapterOfALanguageModel) {
  const Workplace place;
  const std::string peft = inputs() / "llm/llama/lora";
  fs::copy(inputs() / "llm/llama/model", place / "base");
  write_tokenizer(place / "base");
  place.write("a.jsonl", golden_batch("llama"));
  Words words = eval("base", "a.jsonl");
  words.insert(words.end(), {"--version", peft, "--version", peft + "/adapter_model.safetensors"});
  place.write("c.yaml", join("base_model: base\ntrain_data_dir: a.jsonl\ninit_lora_weights: ", peft,
                             "\noutput_dir: output/v\nmax_steps: 1\nthreads: 1\n"));
  const std::vector<Ran> ran = run_each(place, {words, {"train", "--config", "c.yaml", "--json"}});
  const Json facts = Json::parse(read_file(inputs() / "llm/llama/lora_expected.json"));
  const Json results = json_of(ran[0]).at("results");
  for (const Json& result : results) {
    EXPECT_NEAR(result.at("loss").get<double>(), facts.at("loss_mean").get<double>(), 1e-4);
  }
  EXPECT_EQ(results.size(), 2U);
  EXPECT_EQ(json_of(ran[1]).at("steps"), 1);
  EXPECT_THAT(ran[1].err, testing::HasSubstr("warm start: 4 of 4 modules (8 tensors), rank 4, "));
}

TEST(CliSmokeAdapters, NoDialectIsLeftOut) {
  Names tried = {"peft"};
  for (const DialectRow& row : image_dialects()) tried.insert(row.dialect);
  Names known = names_in(key_dialects());
  known.insert("cloneofsimo");
  EXPECT_EQ(tried, known);
}

}  // namespace
}  // namespace lora::test
