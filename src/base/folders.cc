// SPDX-License-Identifier: Apache-2.0
#include "base/folders.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/shown.h"
#include "base/utf8.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// Links to folders may multiply each other: ten links in each of ten folders lead to 10^10 files.
constexpr int kMostLinks = 10000;

class Walk {
 public:
  explicit Walk(Path root) : root_(std::move(root)) {}

  std::vector<FoundFile> run() {
    std::error_code ignored;
    for (Path around = fs::canonical(root_, ignored); around.has_relative_path();) {
      around = around.parent_path();
      struct stat info {};
      if (::stat(around.c_str(), &info) == 0) around_.push_back(id_of(info));
    }
    struct stat info {};
    if (::stat(root_.c_str(), &info) == 0) around_.push_back(id_of(info));
    enter(root_, "");
    std::ranges::sort(found_, {}, &FoundFile::relative);
    return std::move(found_);
  }

 private:
  using FolderId = std::pair<dev_t, ino_t>;
  static FolderId id_of(const struct stat& info) { return {info.st_dev, info.st_ino}; }

  void enter(const Path& folder, const std::string& relative) {
    std::error_code error;
    fs::directory_iterator at(folder, error);
    for (; !error && at != fs::directory_iterator(); at.increment(error)) {
      const std::string name = at->path().filename().string();
      if (!name.starts_with('.')) look(at->path(), relative + name);
    }
    if (!error) return;
    if (relative.empty()) fail_usage(folder.string(), ": cannot be read (", error.message(), ")");
    leave_out(folder, relative.substr(0, relative.size() - 1),
              "this folder cannot be read (" + error.message() + ")");
  }

  void look(const Path& path, const std::string& relative) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
      const char* reason = std::strerror(errno);
      return leave_out(path, relative, join("cannot be read (", reason, "); a link that leads ",
                                            "nowhere? Remove it or mend it"));
    }
    const auto bad = first_invalid_utf8(relative);
    if (bad) {
      return leave_out(path, relative, "its name is not UTF-8; rename it (an archive of another "
                                       "system? unpack it with the right encoding)");
    }
    if (S_ISDIR(info.st_mode)) return look_at_folder(path, relative, id_of(info));
    if (S_ISREG(info.st_mode)) return found_.push_back({path, relative, ""});
    leave_out(path, relative, "is a pipe or device, expected a file");
  }

  void look_at_folder(const Path& path, const std::string& relative, FolderId id) {
    if (std::ranges::find(around_, id) != around_.end()) {
      return leave_out(path, relative, "is a link to a folder around it");
    }
    if (fs::is_symlink(path) && ++links_ > kMostLinks) {
      fail_usage(root_.string(), ": too many links to folders (more than ", kMostLinks,
                 "); give a folder without them");
    }
    around_.push_back(id);
    enter(path, relative + "/");
    around_.pop_back();
  }

  void leave_out(const Path& path, const std::string& relative, std::string reason) {
    found_.push_back({path, with_bytes_escaped(relative), std::move(reason)});
  }

  Path root_;
  std::vector<FoundFile> found_;
  std::vector<FolderId> around_;  // the folders around the one that is looked at, and that one
  int links_ = 0;
};

}  // namespace

std::vector<std::string> folders_in(const Path& root) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root, ignored)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(ignored) && !name.starts_with('.')) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::vector<FoundFile> files_below(const Path& folder) { return Walk(folder).run(); }

}  // namespace lora
