// SPDX-License-Identifier: Apache-2.0
#include "base/paths.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestPart = 255;  // of every usual file system, in bytes

}  // namespace

std::string name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.find('\0') != std::string_view::npos) return "holds a zero byte";
  if (name.front() == '/') return "is an absolute path";
  for (const std::string& part : split(name, '/')) {
    if (part == "..") return "leads out of the folder";
    if (part.empty() || part == ".") return "has a part that is no name";
    if (part.size() > kLongestPart) {
      return join("is too long (found ", part.size(), " bytes, expected at most ", kLongestPart,
                  ")");
    }
  }
  return "";
}

bool lies_in(const Path& path, const Path& folder) {
  std::error_code error;
  const auto real = [&](const Path& p) {
    Path found = fs::weakly_canonical(fs::absolute(p), error);
    return found.has_filename() ? found : found.parent_path();  // "out/" is "out"
  };
  const Path inner = real(path);
  if (error) return false;
  const Path outer = real(folder);
  if (error) return false;
  const auto [end, unused] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end();
}

std::string name_of(const Path& path) {
  return (fs::absolute(path) / "").lexically_normal().parent_path().filename().string();
}

Path folder_around(const Path& path) {
  Path clean = path.lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return clean.has_parent_path() ? clean.parent_path() : Path(".");
}

std::string problem_below(const Path& root, const std::string& name) {
  const std::string problem = name_problem(name);
  if (!problem.empty()) return problem;
  return lies_in((root / name).parent_path(), root) ? "" : "leads out of the folder by a link";
}

Path below(const Path& root, const std::string& name) {
  const std::string problem = problem_below(root, name);
  if (problem.empty()) return root / name;
  fail_usage(root.string(), ": '", name, "' ", problem,
             " (expected a name below this folder); nothing is written or removed there");
}

}  // namespace lora
