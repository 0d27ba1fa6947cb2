// SPDX-License-Identifier: Apache-2.0
#include "train/run_log.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"

namespace lora {
namespace {

// Width and height stand in the first chunk of a PNG file, big-endian.
std::int64_t big_endian(const std::string& bytes, std::size_t at) {
  std::int64_t value = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    value = value * 256 + static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

bool is_png(const std::string& bytes) {
  return bytes.size() > 24 && bytes.compare(0, 8, "\x89PNG\r\n\x1a\n") == 0;
}

}  // namespace

RunLog::RunLog(const Path& logs, std::int64_t total_steps, std::int64_t last_step, std::string unit)
    : events_(logs),
      metrics_(logs / "metrics.jsonl", last_step),
      progress_("training", total_steps, std::max<std::int64_t>(0, last_step)),
      unit_(std::move(unit)) {
  if (last_step >= 0) events_.restart_at(last_step + 1);
}

void RunLog::step(std::int64_t step, const Reading& reading, double learning_rate,
                  double gradient_norm, double epoch) {
  const std::string speed = unit_ + "_per_s";
  events_.scalar("train/loss", step, reading.loss);
  events_.scalar("train/learning_rate", step, learning_rate);
  events_.scalar("train/grad_norm", step, gradient_norm);
  events_.scalar("train/" + speed, step, reading.units_per_second);
  events_.scalar("train/epoch", step, epoch);
  events_.flush();
  metrics_.write({{"step", step},
                  {"loss", reading.loss},
                  {"lr", learning_rate},
                  {"grad_norm", gradient_norm},
                  {speed, reading.units_per_second},
                  {"epoch", epoch}});
  progress_.update(step,
                   fmt::format("loss {:.4f}  {:.{}f} {}/s", reading.loss, reading.units_per_second,
                               reading.units_per_second < 10 ? 2 : 0, unit_));
}

void RunLog::validation(std::int64_t step, const std::vector<NamedLoss>& losses) {
  nlohmann::json row = {{"step", step}};
  std::string text;
  for (const auto& [name, loss] : losses) {
    events_.scalar(name + "/loss", step, loss);
    row[name + "_loss"] = loss;
    text += fmt::format("{}{} loss {:.4f}", text.empty() ? "" : ", ", name, loss);
  }
  events_.flush();
  metrics_.write(row);
  info(fmt::format("step {}: {}", step, text));
}

void RunLog::text(const std::string& tag, std::int64_t step, const std::string& markdown) {
  events_.text(tag, step, markdown);
  events_.flush();
}

void RunLog::samples(std::int64_t step, const std::vector<std::string>& lines) {
  std::string texts;
  std::size_t pictures = 0;  // each prompt has its tag, the same at every step
  for (const std::string& line : lines) {
    const Path path = line;
    if (path.extension() == ".png" && std::filesystem::exists(path)) {
      const std::string tag = join("samples/", pictures++), bytes = read_file(path);
      if (!is_png(bytes)) continue;
      events_.image(tag, step, big_endian(bytes, 16), big_endian(bytes, 20), bytes);
    } else {
      texts += (texts.empty() ? "" : "\n\n") + line;
    }
  }
  if (!texts.empty()) events_.text("samples", step, texts);
  events_.flush();
}

}  // namespace lora
