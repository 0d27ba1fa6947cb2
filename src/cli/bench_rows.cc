// SPDX-License-Identifier: Apache-2.0
// Measuring the machine: bench.
#include <algorithm>
#include <array>

#include "cli/commands.h"

namespace lora {

[[gnu::weak]] int run_bench(const Arguments& arguments);

namespace {

constexpr Option kDtypes{.name = "--dtype",
                         .help = "Number format of the frozen base.",
                         .choices = "bf16 f32",
                         .standard = "bf16"};
constexpr Option kSteps{.name = "--steps",
                        .value = "N",
                        .help = "Steps; the first is not timed unless it is the only one.",
                        .kind = Kind::whole,
                        .range = between(1, 1000000),
                        .standard = "5"};
constexpr Option kCheckpointing{.name = "--checkpointing",
                                .help = "Computes activations again instead of keeping them."};
constexpr Option kPlain{.name = "--plain", .help = "Without the fused operators, to compare."};

constexpr Option batch(std::string_view standard) {
  return {.name = "--batch",
          .value = "N",
          .help = "Samples of a step.",
          .kind = Kind::whole,
          .range = between(1, 4096),
          .standard = standard};
}

constexpr Option targets(std::string_view standard) {
  return {.name = "--targets",
          .value = "NAMES",
          .help =
              "Layers with an adapter, by the last part of their name, with commas between; or "
              "all-linear.",
          .standard = standard};
}

// The options of one kind of model, then those of both.
template <std::size_t N>
constexpr auto with_shared(const Option (&own)[N]) {
  constexpr Option kShared[] = {kDtypes, kSteps, kDevice, kThreads, kCheckpointing, kPlain, kJson};
  std::array<Option, N + std::size(kShared)> all;
  std::ranges::copy(kShared, std::ranges::copy(own, all.begin()).out);
  return all;
}

constexpr auto kText = with_shared({
    {.name = "--preset",
     .help = "Size of the model.",
     .choices = "llama-15m llama-110m llama-1b llama-7b",
     .standard = "llama-110m"},
    batch("4"),
    {.name = "--length",
     .value = "T",
     .help = "Tokens of a sample.",
     .kind = Kind::whole,
     .range = between(2, 1048576),
     .standard = "512"},
    {.name = "--labelled",
     .value = "F",
     .help = "Share of the tokens that have a loss.",
     .kind = Kind::real,
     .range = between(0, 1),
     .standard = "0.5"},
    targets("q_proj,v_proj"),
});

constexpr auto kImage = with_shared({
    {.name = "--preset",
     .help = "Which Stable Diffusion.",
     .choices = "sd15 sd21 sdxl",
     .standard = "sd15"},
    {.name = "--resolution",
     .value = "N",
     .help = "Edge of the pictures, a multiple of 8.",
     .kind = Kind::whole,
     .range = between(64, 4096),
     .standard = "512"},
    batch("1"),
    targets("to_q,to_k,to_v,to_out.0"),
});

constexpr Form kBenchForms[] = {{"bench text", kText}, {"bench image", kImage}};

constexpr Command kCommands[] = {
    {"bench", "real training steps of a random model of a known size: how fast is this machine?",
     kBenchForms, run_bench},
};

}  // namespace

std::span<const Command> bench_commands() { return kCommands; }

}  // namespace lora
