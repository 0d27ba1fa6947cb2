// SPDX-License-Identifier: Apache-2.0
// Where a version comes from: the links of its manifest, followed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "versions/version.h"

namespace lora {

// What a link leads to: the version, or the reason why there is none.
struct FoundParent {
  std::optional<Version> version;
  std::string absent;   // "a file, not a version", "its folder is not here"
  std::string problem;  // another version has the name, or the manifest cannot be trusted
};

FoundParent follow_link(const ParentLink& link, const Path& root);

struct Ancestor {
  std::string name;
  int generation = 0;  // 0: the version itself, 1: its parents, ...
  FoundParent found;
};

// The version and all its ancestors below `root`, nearest first, each id once, at its nearest
// generation; with the links that lead nowhere. A loop cannot be made: an id covers the parents'
// ids, so a manifest that was edited into one is reported as changed.
std::vector<Ancestor> ancestry(const Version& version, const Path& root);

}  // namespace lora
