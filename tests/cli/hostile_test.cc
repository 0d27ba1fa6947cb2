// SPDX-License-Identifier: Apache-2.0
// Files and arguments that were made to do harm: each is refused in words.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/aten.h"
#include "io/tensors.h"
#include "tests/cli/run.h"

namespace lora::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Nothing that a terminal takes for a command.
void expect_no_controls(const Ran& ran) {
  for (const char c : ran.out + ran.err) {
    const auto byte = static_cast<unsigned char>(c);
    EXPECT_TRUE((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t') << int{byte};
  }
}

TensorMap adapter_of(const std::string& module, const at::Tensor& alpha = {}) {
  TensorMap tensors = {{module + ".lora_down.weight", at::ones({2, 16})},
                       {module + ".lora_up.weight", at::ones({16, 2})}};
  if (alpha.defined()) tensors[module + ".alpha"] = alpha;
  return tensors;
}

TEST(CliHostile, EscapeSequencesOfFilesAreShown) {
  const Workplace place;
  const std::string flat = "lora_unet_mid_block_attentions_0_proj_in";
  write_tensors(place / "k.safetensors", adapter_of(flat, at::full({}, 2)),
                {{"title\x1b[31m", "\x1b]0;owned\x07 \x7f \xc2\x9b"}, {"line", "a\nlora: done"}});
  const Ran shown = place.lora({"inspect", "k.safetensors"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("title\\x1b[31m = \\x1b]0;owned\\x07 \\u007f \\u009b\n"));
  EXPECT_THAT(shown.out, HasSubstr("line = a\\nlora: done\n"));
  expect_no_controls(shown);
  const Ran json = place.lora({"inspect", "k.safetensors", "--json"});
  expect_no_controls(json);
  EXPECT_EQ(nlohmann::json::parse(json.out)["metadata"]["title\x1b[31m"],
            "\x1b]0;owned\x07 \x7f \xc2\x9b");
}

TEST(CliHostile, ATemplateCannotWriteToTheTerminal) {
  const Workplace place;
  place.write("t.jinja", "{{ raise_exception('\\x1b]0;x\\x07\\nlora: done') }}");
  const Ran ran = place.lora(
      {"generate", "--base", place.base(), "--template", "t.jinja", "--prompt", "a", "--max-tokens",
       "1"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err,
            "lora: template 't.jinja', line 1: the template does not accept this conversation: "
            "\\x1b]0;x\\x07\\nlora: done\n");
  place.write("t.jinja", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}"
                         "{% endfor %}");
  const Ran loops = place.lora(
      {"generate", "--base", place.base(), "--template", "t.jinja", "--prompt", "a", "--max-tokens",
       "1"});
  EXPECT_EQ(loops.code, 2);
  EXPECT_EQ(loops.err,
            "lora: template 't.jinja', line 1: takes too many steps (at most 10000000); use a "
            "template with shorter loops\n");
}

TEST(CliHostile, NumbersThatAreNone) {
  const Workplace place;
  struct Row {
    std::vector<std::string> arguments;
    std::string error;
  };
  const std::string flat = "lora_unet_mid_block_attentions_0_proj_in";
  write_tensors(place / "inf.safetensors", adapter_of(flat, at::full({}, INFINITY)));
  write_tensors(place / "nan.safetensors", adapter_of(flat, at::full({}, NAN)));
  const std::string module = "module 'unet.mid_block.attentions.0.proj_in': alpha is ";
  const Row rows[] = {
      {{"inspect", "inf.safetensors"},
       "inf.safetensors: " + module + "inf, expected a number above 0; damaged file?"},
      {{"inspect", "nan.safetensors"},
       "nan.safetensors: " + module + "nan, expected a number above 0; damaged file?"},
      {{"prepare", "text", "--input", ".", "--output", "o", "--validation-split", "nan"},
       "lora prepare text: --validation-split: out of range (found 'nan', expected a number 0 to "
       "0.9); `lora help prepare` shows the form"},
      {{"generate", "--base", place.base(), "--version", "v1:nan", "--prompt", "a"},
       "version 'v1:nan': not a weight (found 'nan', expected a number such as 0.8); write NAME or "
       "NAME:0.8"},
  };
  for (const Row& row : rows) {
    const Ran ran = place.lora(row.arguments);
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.err, "lora: " + row.error + "\n");
  }
}

TEST(CliHostile, ANumberForAName) {
  const Workplace place;
  std::filesystem::create_directories(place / "ad");
  write_tensors(place / "ad" / "adapter_model.safetensors",
                {{"base_model.model.123.lora_A.weight", at::ones({2, 16})},
                 {"base_model.model.123.lora_B.weight", at::ones({16, 2})}});
  place.write("ad/adapter_config.json", R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4})");
  const Ran shown = place.lora({"inspect", "ad"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("targets     123 "));
}

TEST(CliHostile, TooLittleMemoryIsToldInWords) {
  const Workplace place;
  place.write("big.yaml", place.read("v1.yaml") +
                              "packing: true\ntrain_on_prompt: true\nrepeats: 4000\n");
  const Ran ran = place.shell("ulimit -v 3000000; exec " LORA_BINARY
                              " train --config big.yaml batch_size=4096");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("lora: memory: there is not enough for this; lower batch_size, "
                                 "max_seq_length or resolution, set gradient_checkpointing: true, "
                                 "or end other programs\n"));
}

}  // namespace
}  // namespace lora::test
