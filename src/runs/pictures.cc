// SPDX-License-Identifier: Apache-2.0
#include "runs/pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/progress.h"
#include "io/contact_sheet.h"

namespace lora {
namespace {

// The columns: every prompt with every seed.
std::vector<ImageRequest> requests_of(const PictureJob& job) {
  std::vector<ImageRequest> requests;
  for (const std::string& prompt : job.prompts) {
    for (std::int64_t i = 0; i < job.count; ++i) {
      ImageRequest& request = requests.emplace_back(job.request);
      request.prompt = prompt;
      request.seed += i;
    }
  }
  return requests;
}

bool to_folder(const PictureJob& job) { return job.output.extension().empty(); }

// "starli_v1:0.8" cannot stand in a file name everywhere.
Path picture_path(const Path& folder, const std::string& label, std::int64_t number) {
  std::string name = fmt::format("{:04}-{}.png", number, label);
  std::ranges::replace_if(
      name, [](char c) { return c == ':' || c == '/'; }, '_');
  return folder / name;
}

struct Sheet {
  std::vector<ImageRequest> columns;
  std::vector<SheetRow> rows;
};

void draw_row(const ImageSession& session, const PictureJob& job, const std::string& label,
              Sheet& sheet, Progress& progress) {
  const auto drawn = static_cast<std::int64_t>(sheet.rows.size() * sheet.columns.size());
  SheetRow& row = sheet.rows.emplace_back(SheetRow{label, {}});
  for (const ImageRequest& request : sheet.columns) {
    const std::int64_t number = drawn + static_cast<std::int64_t>(row.images.size());
    const auto after_step = [&](std::size_t step) {
      const auto done = std::min(static_cast<std::int64_t>(step) + 1, request.steps);
      progress.update(number * request.steps + done, label);
    };
    row.images.push_back(generate_image(*session.sd, session.prompts, request, after_step));
    if (to_folder(job)) {
      write_png(picture_path(job.output, label, number + 1), row.images.back(),
                png_parameters(request, session.base, label));
    }
  }
}

// One picture as it is; several as a labelled sheet.
void write_result(const ImageSession& session, const PictureJob& job, const Sheet& sheet) {
  const bool single = sheet.rows.size() == 1 && sheet.columns.size() == 1;
  if (to_folder(job) && single) return;
  std::vector<std::string> titles;
  for (const ImageRequest& request : sheet.columns) {
    titles.push_back(fmt::format("{}  (seed {})", request.prompt, request.seed));
  }
  write_png(to_folder(job) ? job.output / "sheet.png" : job.output,
            single ? sheet.rows[0].images[0] : contact_sheet(titles, sheet.rows),
            png_parameters(sheet.columns.front(), session.base, sheet.rows.front().label));
}

}  // namespace

std::int64_t draw_pictures(const ImageSession& session, const std::vector<NamedVersion>& versions,
                           const PictureJob& job) {
  if (to_folder(job)) std::filesystem::create_directories(job.output);
  Sheet sheet{.columns = requests_of(job), .rows = {}};
  const auto pictures = static_cast<std::int64_t>(versions.size() * sheet.columns.size());
  Progress progress("drawing", pictures * job.request.steps);
  for (const NamedVersion& version : versions) {
    apply_version(version, session.layers);
    draw_row(session, job, version.label, sheet, progress);
  }
  write_result(session, job, sheet);
  return pictures;
}

}  // namespace lora
