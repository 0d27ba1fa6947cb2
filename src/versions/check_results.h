// SPDX-License-Identifier: Apache-2.0
// What the functions of the check tables share.
#pragma once

#include <string>
#include <utility>

#include "base/paths.h"
#include "versions/preflight.h"

namespace lora {

using Result = std::optional<CheckResult>;  // the id is filled in by run_preflight

inline CheckResult ok(std::string message) { return {"", Verdict::ok, std::move(message)}; }
inline CheckResult notice(std::string message) { return {"", Verdict::info, std::move(message)}; }
inline CheckResult warning(std::string message) {
  return {"", Verdict::warning, std::move(message)};
}
inline CheckResult error(std::string message) { return {"", Verdict::error, std::move(message)}; }

inline double percent(double share) { return 100 * share; }

inline const Version* manifest_of(const PreflightInput& in) {
  return in.parent && in.parent->manifest ? &*in.parent->manifest : nullptr;
}

// Is the adapter that the run continues from in the folder that it would write to?
inline bool output_holds_parent(const PreflightInput& in) {
  return in.parent && lies_in(in.parent->weights, in.config.output_dir);
}

// The parent's statistics where they can be compared with this run's, else nullptr.
inline const DataStats* old_data(const PreflightInput& in) {
  const bool both = in.data && in.parent && in.parent->data;
  return both && in.parent->data->kind == in.data->kind ? &*in.parent->data : nullptr;
}

}  // namespace lora
