// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "models/samplers.h"
#include "models/sd_generate.h"
#include "tests/sd/sd_support.h"

namespace lora {
namespace {

using test::sd_golden;

ScheduleConfig sd_schedule(Prediction prediction, bool zero_snr) {
  ScheduleConfig config = sd_preset(SdKind::sd1).schedule;
  config.prediction = prediction;
  config.zero_terminal_snr = zero_snr;
  return config;
}

void expect_relative(const std::string& name, const at::Tensor& measured, const TensorMap& tables) {
  const at::Tensor& expected = tables.at(name);
  const double error = ((measured - expected).abs() / expected.abs()).max().item<double>();
  const double allowed = test::tolerance("schedule/tables.safetensors", name, "recommended_rtol");
  test::report("schedule/tables.safetensors:" + name + " (relative)", error, allowed);
  EXPECT_LE(error, allowed) << name;
}

TEST(GoldenSdSchedule, tables) {
  const TensorMap tables = read_tensors(sd_golden("schedule/tables.safetensors"));
  const NoiseSchedule epsilon(sd_schedule(Prediction::epsilon, false));
  const NoiseSchedule v(sd_schedule(Prediction::v, false));
  const NoiseSchedule zero(sd_schedule(Prediction::v, true));
  const at::Tensor all = at::arange(epsilon.steps(), at::kLong);
  expect_relative("betas", epsilon.betas(), tables);
  expect_relative("alphas_cumprod", epsilon.alphas_cumprod(), tables);
  expect_relative("snr", epsilon.snr(), tables);
  expect_relative("min_snr_weight_epsilon", epsilon.min_snr_weight(all, 5), tables);
  expect_relative("min_snr_weight_v", v.min_snr_weight(all, 5), tables);
  test::expect_golden("schedule/tables.safetensors", "zero_snr_alphas_cumprod",
                      "zero_snr_alphas_cumprod", zero.alphas_cumprod(), tables);
  EXPECT_EQ(zero.snr()[-1].item<float>(), 0);
  test::expect_near("schedule/tables.safetensors:zero_snr_min_snr_weight_v",
                    zero.min_snr_weight(all, 5), tables.at("zero_snr_min_snr_weight_v"), 1e-4);
}

TEST(GoldenSdSchedule, noising_in_every_dtype) {
  const std::string file = "schedule/noising.safetensors";
  const TensorMap given = read_tensors(sd_golden(file));
  const NoiseSchedule plain(sd_schedule(Prediction::epsilon, false));
  const NoiseSchedule zero(sd_schedule(Prediction::epsilon, true));
  const at::Tensor &x0 = given.at("x0"), &noise = given.at("noise"), &t = given.at("timesteps");
  const auto check = [&](const std::string& name, const at::Tensor& measured) {
    test::expect_golden(file, name, name, measured, given);
  };
  check("noisy", plain.add_noise(x0, noise, t));
  check("velocity", plain.velocity(x0, noise, t));
  check("zero_snr_noisy", zero.add_noise(x0, noise, t));
  check("zero_snr_velocity", zero.velocity(x0, noise, t));
  const at::Tensor shifted =
      offset_noise(noise, given.at("offset_randn"), given.at("offset_strength"));
  check("noise_with_offset", shifted);
  const double near = test::tolerance(file, "noise_with_offset");
  const auto close = [&](const std::string& name, const at::Tensor& measured) {
    test::expect_near(file + ":" + name, measured, given.at(name), near);
  };
  close("noisy_with_offset", plain.add_noise(x0, shifted, t));
  const at::Tensor perturbed = noise + given.at("ip_gamma") * given.at("ip_randn");
  close("noisy_with_ip", plain.add_noise(x0, perturbed, t));
  for (const auto& [suffix, dtype] : std::map<std::string, at::ScalarType>{
           {"_bfloat16", at::kBFloat16}, {"_float16", at::kHalf}}) {
    const at::Tensor x = x0.to(dtype), n = noise.to(dtype);
    EXPECT_TRUE(plain.add_noise(x, n, t).equal(given.at("noisy" + suffix))) << suffix;
    if (!given.contains("velocity" + suffix)) continue;
    EXPECT_TRUE(plain.velocity(x, n, t).equal(given.at("velocity" + suffix))) << suffix;
  }
}

TEST(GoldenSdSchedule, losses) {
  const std::string file = "schedule/losses.safetensors";
  const TensorMap given = read_tensors(sd_golden(file));
  for (const Prediction prediction : {Prediction::epsilon, Prediction::v}) {
    const std::string name = prediction == Prediction::v ? "v." : "epsilon.";
    const NoiseSchedule schedule(sd_schedule(prediction, false));
    const at::Tensor& t = given.at("timesteps");
    const at::Tensor target = schedule.target(given.at("x0"), given.at("noise"), t);
    const at::Tensor losses = per_sample_mse(given.at("pred"), target);
    const at::Tensor weighted = losses * schedule.min_snr_weight(t, 5);
    for (const auto& [part, value] : TensorMap{{"target", target},
                                               {"per_sample", losses},
                                               {"mse", losses.mean()},
                                               {"min_snr_per_sample", weighted},
                                               {"min_snr", weighted.mean()}}) {
      const at::Tensor& expected = given.at(name + part);
      test::expect_near(file + ":" + name + part, value, expected,
                        2e-6 * std::max(1.0, expected.abs().max().item<double>()));
    }
  }
}

// The sampler of a golden run: its longest name that the run's name begins with.
std::string sampler_of(const std::string& run) {
  std::string best;
  for (const SamplerRow& row : samplers()) {
    if (run.starts_with(row.name) && row.name.size() > best.size()) best = row.name;
  }
  return best;
}

ScheduleConfig config_of(const std::string& run) {
  return schedule_config(test::golden_json("schedule/samplers.json")["scheduler_configs"][run],
                         run);
}

TEST(GoldenSdSchedule, timesteps_of_all_samplers) {
  const auto runs = test::golden_json("schedule/timesteps.json");
  for (const auto& [run, counts] : runs.items()) {
    const NoiseSchedule schedule(config_of(run));
    for (const auto& [steps, expected] : counts.items()) {
      const auto sampler = make_sampler(sampler_of(run), schedule, std::stoll(steps));
      const auto timesteps = expected["timesteps"].get<std::vector<double>>();
      ASSERT_EQ(sampler->timesteps().size(), timesteps.size()) << run << " " << steps;
      for (std::size_t i = 0; i < timesteps.size(); ++i) {
        EXPECT_NEAR(sampler->timesteps()[i], timesteps[i], 1e-3) << run << " " << steps;
      }
      EXPECT_NEAR(sampler->init_sigma(), expected["init_noise_sigma"].get<double>(), 1e-4) << run;
      if (!expected.contains("sigmas")) continue;
      const auto sigmas = expected["sigmas"].get<std::vector<double>>();
      ASSERT_EQ(sampler->sigmas().size(), sigmas.size()) << run << " " << steps;
      for (std::size_t i = 0; i < sigmas.size(); ++i) {
        EXPECT_NEAR(sampler->sigmas()[i], sigmas[i], 1e-4) << run << " " << steps;
      }
    }
  }
}

// Whole runs with guidance, each step compared.
TEST(GoldenSdSamplers, whole_runs) {
  const auto settings = test::golden_json("schedule/samplers.json");
  const double scale = settings["guidance_scale"].get<double>();
  const TensorMap inputs = read_tensors(sd_golden("schedule/sampler_inputs.safetensors"));
  const auto model = test::load_golden("tiny-sd15");
  for (const auto& [run, unused] : settings["scheduler_configs"].items()) {
    const std::string file = "schedule/sampler_" + run + ".safetensors";
    const TensorMap expected = read_tensors(sd_golden(file));
    const NoiseSchedule schedule(config_of(run));
    const auto sampler =
        make_sampler(sampler_of(run), schedule, settings["num_inference_steps"].get<int>());
    test::Worst worst(file);
    std::size_t call = 0;
    const auto compare = [&](const std::string& name, const std::string& group,
                             const at::Tensor& measured) {
      if (expected.contains(name)) {
        worst.add(name, measured, expected.at(name), test::tolerance(file, group));
      }
    };
    const Denoiser denoise = [&](const at::Tensor& x, double t) {
      compare(join("model_input.", call), "model_input.*", x);
      const at::Tensor times = at::full({x.size(0)}, t, at::kFloat);
      const at::Tensor cond = model->predict(x, times, {inputs.at("cond"), {}});
      const at::Tensor uncond = model->predict(x, times, {inputs.at("uncond"), {}});
      compare(join("eps_cond.", call), "eps_*", cond);
      compare(join("eps_uncond.", call), "eps_*", uncond);
      const at::Tensor guided = guide(uncond, cond, scale);
      compare(join("eps_guided.", call), "eps_*", guided);
      ++call;
      return guided;
    };
    at::Tensor x = inputs.at("initial_noise") * sampler->init_sigma();
    compare("latents.start", "latents.*", x);
    for (std::size_t i = 0; i < sampler->timesteps().size(); ++i) {
      const at::NoGradGuard no_gradient;
      x = sampler->step(denoise(sampler->model_input(x, i), sampler->timesteps()[i]), i, x, {});
      compare(join("latents.", i), "latents.*", x);
    }
    if (expected.contains("decoded")) compare("decoded", "decoded", model->decode(x));
  }
}

// Euler ancestral with no fresh noise is Euler to a smaller noise level.
TEST(SdSamplers, euler_ancestral_keeps_the_noise_level) {
  const NoiseSchedule schedule(sd_schedule(Prediction::epsilon, false));
  const auto sampler = make_sampler("euler_a", schedule, 5);
  const at::Tensor x = at::full({1}, 2.0), output = at::full({1}, 1.0);
  const double sigma = sampler->sigmas()[0], next = sampler->sigmas()[1];
  double drawn = 0;
  const at::Tensor y = sampler->step(output, 0, x, [&](at::IntArrayRef shape) {
    drawn = 1;
    return at::ones(shape);
  });
  const double up = std::sqrt(next * next * (1 - next * next / (sigma * sigma)));
  const double down = std::sqrt(next * next - up * up);
  EXPECT_EQ(drawn, 1);
  EXPECT_NEAR(y.item<double>(), 2 + (down - sigma) + up, 1e-4);
}

TEST(SdSamplers, have_the_names_of_webuis) {
  const std::pair<const char*, const char*> rows[] = {
      {"ddim", "DDIM"},         {"euler", "Euler"},
      {"euler_a", "Euler a"},   {"dpmpp_2m", "DPM++ 2M"},
      {"pndm", "PLMS"},         {"dpmpp_2m_karras", "DPM++ 2M Karras"}};
  ASSERT_EQ(std::size(rows), samplers().size());
  for (const auto& [name, webui] : rows) {
    const ImageRequest request{.prompt = "a lamp", .negative = "dark", .sampler = name};
    EXPECT_EQ(png_parameters(request, "base", "v1:0.8").at("parameters"),
              join("a lamp\nNegative prompt: dark\nSteps: 20, Sampler: ", webui,
                   ", CFG scale: 7.5, Seed: 0, Size: 512x512, Model: base, Lora: v1:0.8"));
  }
}

TEST(SdSamplers, wrong_requests_are_named) {
  const NoiseSchedule schedule(sd_schedule(Prediction::epsilon, false));
  EXPECT_THROW(make_sampler("eulerr", schedule, 5), Error);
  EXPECT_THROW(make_sampler("euler", schedule, 0), Error);
  EXPECT_THROW(make_sampler("euler", schedule, 5, "sideways"), Error);
}

}  // namespace
}  // namespace lora
