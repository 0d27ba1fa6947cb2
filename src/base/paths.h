// SPDX-License-Identifier: Apache-2.0
// Parts of paths, and where a path may lie. Everything that writes or removes below a folder under
// a name that comes from a file, a manifest or another folder asks here first.
#pragma once

#include <string>
#include <string_view>

#include "base/files.h"

namespace lora {

// The last part of a path to a file or folder: "v1" of "output/v1/"; of "." the folder's own name.
std::string name_of(const Path& path);
// The folder that it lies in: "output" of "output/v1/", "." of a bare name.
Path folder_around(const Path& path);

// Why `name` cannot stand for something below a folder, to be read after it ("leads out of the
// folder"); "" where it can: it is relative, and each part of it is a name of at most 255 bytes,
// neither "." nor "..".
std::string name_problem(std::string_view name);

// True where `path` is `folder` or lies in it, links followed as far as there is something.
bool lies_in(const Path& path, const Path& folder);

// name_problem(), or that a folder on the way to `root`/`name` is a link out of `root`. `root`
// itself may be a link, and so may the last part: who replaces or removes that one touches the
// link.
std::string problem_below(const Path& root, const std::string& name);

// `root`/`name`. Throws Error (usage) where problem_below() finds something.
Path below(const Path& root, const std::string& name);

}  // namespace lora
