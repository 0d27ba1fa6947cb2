// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/target_names.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace lora {
namespace {

// The shortest end of the path for which `is_exact` holds, the whole path where none does.
template <typename Predicate>
std::string shortest_end(const std::string& path, const Predicate& is_exact) {
  for (std::size_t dot = path.rfind('.'); dot != std::string::npos && dot > 0;
       dot = path.rfind('.', dot - 1)) {
    const std::string end = path.substr(dot + 1);
    // "0.self_attn.q_proj" would be right and reads badly.
    const bool number = std::isdigit(static_cast<unsigned char>(end[0])) != 0;
    if (!number && is_exact(end)) return end;
  }
  return path;
}

}  // namespace

bool is_named(std::string_view target, std::string_view path) {
  if (!path.ends_with(target)) return false;
  return path.size() == target.size() || path[path.size() - target.size() - 1] == '.';
}

std::vector<std::string> exact_targets(const std::vector<std::string>& chosen,
                                       const std::vector<std::string>& all) {
  const std::set<std::string> wanted(chosen.begin(), chosen.end());
  std::set<std::string> names;
  for (const std::string& path : wanted) {
    if (std::ranges::any_of(names, [&](const auto& name) { return is_named(name, path); })) {
      continue;
    }
    names.insert(shortest_end(path, [&](const std::string& end) {
      return std::ranges::all_of(all, [&](const std::string& other) {
        return !is_named(end, other) || wanted.contains(other);
      });
    }));
  }
  return {names.begin(), names.end()};
}

}  // namespace lora
