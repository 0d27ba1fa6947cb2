// SPDX-License-Identifier: Apache-2.0
#include "versions/running.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/draft.h"
#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "versions/version.h"

namespace lora {
namespace {

using nlohmann::json;

Path lock_file(const Path& folder) { return folder / "logs" / "run.lock"; }
Path status_file(const Path& folder) { return folder / "logs" / "run.json"; }

std::string status_json(const RunStatus& status) {
  return json{{"pid", status.pid},         {"process_start", status.process_start},
              {"host", status.host},       {"started", status.started},
              {"updated", status.updated}, {"step", status.step},
              {"of", status.of},           {"interrupted", status.interrupted}}
             .dump(1) +
         "\n";
}

std::string content_of(const Path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool is_count(const json& value) { return value.is_number_integer() && value >= 0; }

std::optional<RunStatus> read_status(const Path& file) {
  const json read = try_parse_json<json>(content_of(file)).value_or(json());
  try {
    for (const char* name : {"pid", "process_start", "step", "of"}) {
      if (!is_count(read.at(name))) return std::nullopt;
    }
    return RunStatus{.pid = read.at("pid"),
                     .process_start = read.at("process_start"),
                     .host = read.at("host"),
                     .started = read.at("started"),
                     .updated = read.at("updated"),
                     .step = read.at("step"),
                     .of = read.at("of"),
                     .interrupted = read.at("interrupted")};
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

// The 22nd field of /proc/PID/stat; the second one, the program's name in brackets, may hold
// blanks. 0 where there is no such process.
std::int64_t process_start(std::int64_t pid) {
  constexpr int kBefore = 19;  // fields between the name and the start
  const std::string text = content_of(join("/proc/", pid, "/stat"));
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < kBefore; ++i) fields >> skipped;
  std::int64_t start = 0;
  fields >> start;
  return start;
}

bool seems_alive(const RunStatus& status) {
  return status.host == host_name() && status.process_start > 0 &&
         process_start(status.pid) == status.process_start;
}

RunState state_of(LockState lock, const std::optional<RunStatus>& status) {
  if (lock == LockState::busy) return RunState::running;
  if (status && status->interrupted) return RunState::interrupted;
  const bool unknown = lock == LockState::unsupported || lock == LockState::absent;
  const bool alive = unknown && status && seems_alive(*status);
  return alive ? RunState::running : RunState::dead;
}

std::string process_text(const RunStatus& status) {
  return fmt::format("pid {} on {}", status.pid, status.host);
}

}  // namespace

std::string_view run_state_name(RunState state) {
  constexpr std::string_view kNames[] = {"committed", "running", "interrupted", "dead"};
  return kNames[static_cast<std::size_t>(state)];
}

RunFacts look_at_run(const Path& folder) {
  const LockState lock = look_at_lock(lock_file(folder));
  RunFacts run{.status = read_status(status_file(folder))};
  run.state = is_committed(folder) ? RunState::committed : state_of(lock, run.status);
  return run;
}

std::string run_text(const RunFacts& run) {
  if (run.state == RunState::committed) return "committed";
  const std::string next = ": continue it with --resume";
  if (!run.status) {
    return run.state == RunState::running ? "running (its logs/run.json cannot be read)"
                                          : "dead: not finished" + next;
  }
  const RunStatus& status = *run.status;
  const std::string step = fmt::format("step {} of {}", status.step, status.of);
  if (run.state == RunState::running) {
    return fmt::format("running: {} ({}, since {})", step, process_text(status), status.started);
  }
  if (run.state == RunState::interrupted) return "interrupted at " + step + next;
  return fmt::format("dead: last heard of at {} ({}, {}){}", step, process_text(status),
                     status.updated, next);
}

void refuse_running(const Path& folder) {
  const RunFacts run = look_at_run(folder);
  if (run.state != RunState::running) return;
  const std::string who = run.status ? process_text(*run.status) : "another process";
  const std::string place =
      run.status ? fmt::format(", step {} of {}", run.status->step, run.status->of) : "";
  fail_usage(folder.string(), ": a run goes on in this folder (", who, place,
             "); wait for its end, or stop it there and continue it with --resume");
}

RunningRun::RunningRun(const Path& folder, std::int64_t of)
    : lock_(lock_file(folder)), file_(status_file(folder)) {
  const LockState found = lock_.take();
  if (found == LockState::unsupported) {
    refuse_running(folder);
    warn(lock_file(folder).string() +
         ": this file system has no locks; do not start a second run in this folder");
  }
  if (found == LockState::busy) {
    refuse_running(folder);
    fail_usage(folder.string(), ": another process works in this folder; try again");
  }
  if (is_committed(folder)) {
    fail_usage(folder.string(),
               ": another process has just finished this version; choose a new "
               "output_dir");
  }
  const std::int64_t pid = ::getpid();
  const std::string now = utc_now();
  status_ = {.pid = pid,
             .process_start = process_start(pid),
             .host = host_name(),
             .started = now,
             .updated = now,
             .of = of};
  write_file_atomic(file_, status_json(status_));
}

void RunningRun::progress(std::int64_t step) {
  status_.step = step;
  status_.updated = utc_now();
  try {
    replace_file(file_, status_json(status_));  // after a power cut nobody runs anyway
  } catch (const Error&) {
    // Only news for others.
  }
}

void RunningRun::require_folder() const {
  if (lock_.in_place()) return;
  fail(file_.parent_path().parent_path().string(),
       ": this folder, or its logs/run.lock, was moved or removed while the run went on; nothing "
       "is published here; move it back and continue it with --resume");
}

void RunningRun::interrupted(std::int64_t step) {
  status_.step = step;
  status_.updated = utc_now();
  status_.interrupted = true;
  write_file_atomic(file_, status_json(status_));
}

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace lora
