// SPDX-License-Identifier: Apache-2.0
// Which runs go on. A run holds a lock (logs/run.lock) for as long as it lives, and says in
// logs/run.json which process it is and how far it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/files.h"
#include "versions/file_lock.h"

namespace lora {

// logs/run.json.
struct RunStatus {
  std::int64_t pid = 0;
  std::int64_t process_start = 0;  // ticks since boot, /proc/PID/stat: tells a pid used again
  std::string host;
  std::string started, updated;  // UTC; `started` by this process, after --resume a later one
  std::int64_t step = 0, of = 0;
  bool interrupted = false;  // it stopped in order, its state is saved
};

enum class RunState {
  committed,    // a version
  running,      // a process holds the lock
  interrupted,  // stopped in order
  dead,         // killed, or ended by an error
};

std::string_view run_state_name(RunState state);

struct RunFacts {
  RunState state = RunState::dead;
  std::optional<RunStatus> status;  // absent: no run.json, or none that can be read
};

// The state of the run of a folder. Where the file system has no locks, a run counts as running
// while the process of run.json lives on this machine.
RunFacts look_at_run(const Path& folder);

// "running: step 12 of 40 (pid 4711 on workstation, since 2026-01-31T12:00:00Z)"
// "interrupted at step 12 of 40: continue it with --resume"
// "dead: last heard of at step 12 of 40 (pid ...): continue it with --resume"
std::string run_text(const RunFacts& run);

// Throws Error (usage) naming process and host where a run goes on in the folder.
void refuse_running(const Path& folder);

// Holds a run's folder while it lives; one a process and folder.
class RunningRun {
 public:
  // `of`: steps of the whole run. Throws Error (usage) where another process has the folder, or
  // has committed it.
  RunningRun(const Path& folder, std::int64_t of);

  // Tells how far the run is; cheap, and never a reason for a run to end.
  void progress(std::int64_t step);
  // Throws Error where the run's folder, or its lock, is no longer where it was: another run may
  // stand in its place.
  void require_folder() const;
  // The run stopped in order after `step`, its checkpoint is saved.
  void interrupted(std::int64_t step);

 private:
  FileLock lock_;
  Path file_;  // run.json
  RunStatus status_;
};

// The name of this machine.
std::string host_name();

}  // namespace lora
