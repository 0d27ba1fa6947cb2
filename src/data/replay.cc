// SPDX-License-Identifier: Apache-2.0
#include "data/replay.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "data/data_manifest.h"

namespace lora {
namespace {

using Rows = std::vector<ManifestRow>;
using Key = std::pair<std::string, std::int64_t>;  // path, row

Key key_of(const ManifestRow& row) { return {row.path, row.row}; }

std::string place_of(const ManifestRow& row) {
  return row.row > 0 ? join(row.path, ":", row.row) : row.path;
}

// What was trained on, by the file or folder in which to look for it; each sample once.
std::map<std::string, Rows> wanted_rows(const Path& manifest,
                                        const std::function<Path(const Path& path)>& place) {
  std::map<std::string, Rows> wanted;
  std::set<Key> known;
  for (ManifestRow& row : read_manifest(manifest)) {
    if (row.role == "validation" || !known.insert(key_of(row)).second) continue;
    wanted[place(row.path).generic_string()].push_back(std::move(row));
  }
  return wanted;
}

// Which of the samples that are here today are wanted, ascending: first those that stand where they
// stood, then those that have moved. The others of `wanted` become problems.
std::vector<std::size_t> find_again(const Rows& wanted, const Rows& here,
                                    std::vector<std::string>& problems) {
  std::map<Key, std::size_t> by_key;
  std::multimap<std::string, std::size_t> by_hash;
  for (std::size_t i = 0; i < here.size(); ++i) by_key.emplace(key_of(here[i]), i);
  std::set<std::size_t> taken;
  std::vector<const ManifestRow*> moved;
  for (const ManifestRow& row : wanted) {
    const auto at = by_key.find(key_of(row));
    const bool same = at != by_key.end() && here[at->second].sha256 == row.sha256;
    if (same) taken.insert(at->second);
    if (!same) moved.push_back(&row);
  }
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (!taken.contains(i)) by_hash.emplace(here[i].sha256, i);
  }
  for (const ManifestRow* row : moved) {
    const auto at = by_hash.find(row->sha256);
    if (at == by_hash.end()) {
      problems.push_back(place_of(*row) + ": changed or removed since the parent was trained");
      continue;
    }
    taken.insert(at->second);
    by_hash.erase(at);
  }
  return {taken.begin(), taken.end()};
}

[[noreturn]] void fail_without_samples(const Path& manifest,
                                       const std::map<std::string, Rows>& wanted,
                                       const std::vector<std::string>& problems) {
  std::size_t count = 0;
  for (const auto& [place, rows] : wanted) count += rows.size();
  fail_usage(manifest.string(), ": replay: none of the ", count,
             " samples that the parent was trained on can be found again (",
             problems.empty() ? "the manifest is empty" : problems.front(),
             "); put the files back or set replay: 0");
}

// Calls `look` for every place that is still there; what it throws is a problem of that place.
void look_everywhere(const std::map<std::string, Rows>& wanted, std::vector<std::string>& problems,
                     const std::function<void(const std::string& place, const Rows& rows)>& look) {
  for (const auto& [place, rows] : wanted) {
    if (!std::filesystem::exists(place)) {
      problems.push_back(join(place, ": missing (", rows.size(), " samples)"));
      continue;
    }
    try {
      look(place, rows);
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
  }
}

bool is_inside(const Path& path, const Path& folder) {
  const Path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

ReplayTexts replay_texts(const Path& manifest, const std::string& format,
                         const ColumnNames& columns) {
  const auto wanted = wanted_rows(manifest, [](const Path& path) { return path; });
  ReplayTexts out;
  look_everywhere(wanted, out.problems, [&](const std::string& file, const Rows& rows) {
    std::vector<LeftOut> unusable;  // as they were for the parent
    TextDataset found;
    try {
      found = load_text_dataset(file, format, columns, &unusable);
    } catch (const Error&) {
      if (!unusable.empty()) fail(unusable.front().place, ": ", unusable.front().reason);
      throw;
    }
    Rows here;
    for (const TextRecord& record : found.records) {
      here.push_back(
          {.sha256 = record.sha256, .path = record.at.file.generic_string(), .row = record.at.row});
    }
    for (const std::size_t index : find_again(rows, here, out.problems)) {
      out.dataset.records.push_back(std::move(found.records[index]));
    }
    out.dataset.format = found.format;
    out.dataset.files.insert(out.dataset.files.end(), found.files.begin(), found.files.end());
  });
  if (out.dataset.records.empty()) fail_without_samples(manifest, wanted, out.problems);
  return out;
}

ReplayPictures replay_pictures(const Path& manifest, const ImageDataOptions& options,
                               const Path& trained, const Path& metadata) {
  const Path own = trained.lexically_normal();
  const auto wanted = wanted_rows(manifest, [&](const Path& path) {
    if (is_inside(path, own)) return own;
    return path.has_parent_path() ? path.parent_path() : Path(".");
  });
  ReplayPictures out;
  look_everywhere(wanted, out.problems, [&](const std::string& folder, const Rows& rows) {
    ImageDataOptions there = options;
    there.folder = folder;
    there.metadata = folder == own.generic_string() ? metadata : Path();
    ImageFactsCache cache;
    ImageScan scan = scan_images(there, cache);
    const Rows here = manifest_rows(scan.records, "");
    for (const std::size_t index : find_again(rows, here, out.problems)) {
      ImageRecord& record = scan.records[index];
      if (record.verdict == PictureVerdict::used) {
        out.records.push_back(std::move(record));
      } else {
        out.problems.push_back(here[index].path + ": " + record.problem);
      }
    }
  });
  if (out.records.empty()) fail_without_samples(manifest, wanted, out.problems);
  return out;
}

}  // namespace lora
