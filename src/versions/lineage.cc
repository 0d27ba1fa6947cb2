// SPDX-License-Identifier: Apache-2.0
#include "versions/lineage.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"

namespace lora {

FoundParent follow_link(const ParentLink& link, const Path& root) {
  if (link.id.empty()) return {.absent = "a file, not a version"};
  if (!is_committed(root / link.name)) return {.absent = "its folder is not here"};
  try {
    Version found = read_version(root / link.name);
    if (found.id == link.id) return {.version = std::move(found)};
    return {.problem = fmt::format("another version has this name (found id {}, expected {})",
                                   found.id.substr(0, 12), link.id.substr(0, 12))};
  } catch (const Error& error) {
    return {.problem = error.what()};
  }
}

std::vector<Ancestor> ancestry(const Version& version, const Path& root) {
  std::vector<Ancestor> all = {{version.name, 0, {.version = version}}};
  std::set<std::string> seen = {version.id};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].found.version) continue;
    const std::vector<ParentLink> parents = all[i].found.version->parents;
    for (const ParentLink& link : parents) {
      if (!link.id.empty() && !seen.insert(link.id).second) continue;
      all.push_back({link.name, all[i].generation + 1, follow_link(link, root)});
    }
  }
  return all;
}

}  // namespace lora
