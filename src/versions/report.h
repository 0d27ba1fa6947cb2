// SPDX-License-Identifier: Apache-2.0
// One JSON shape per report about versions, for `--json` and for whatever shows them elsewhere.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "versions/store.h"
#include "versions/verify.h"

namespace lora {

// {"output": root, "versions": [row, ...]}. Every row has name, committed and state (committed,
// running, interrupted, dead); a version id, number, parents, created, task_type, new_samples,
// replay_samples, steps, metrics, or `problem` where its manifest cannot be trusted; any other run
// pid, host, started, updated, step, of where it says them.
nlohmann::json list_report(const Path& root, const std::vector<ListedVersion>& list);

// version.json as it stands: fields that this release does not know are shown, too. Throws Error as
// read_version().
nlohmann::json version_report(const Path& folder);

// {"versions": [{name, committed, files, problems, notes, ok}, ...], "ok": as_recorded()}.
nlohmann::json verification_report(const std::vector<VerifyReport>& reports);

// True where no committed version differs from its record.
bool as_recorded(const std::vector<VerifyReport>& reports);

// Names of the parents that a manifest links to.
std::vector<std::string> parent_names(const Version& version);

}  // namespace lora
