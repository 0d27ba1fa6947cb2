// SPDX-License-Identifier: Apache-2.0
#include "versions/refs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/text.h"
#include "config/version_name.h"
#include "versions/store.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Path store_folder(const Path& root) { return root / ".versions"; }
Path refs_folder(const Path& root) { return store_folder(root) / "refs"; }
Path journal_file(const Path& root) { return store_folder(root) / "journal.jsonl"; }

// "": a ref may be called so. One slash at most; each part is spelled as a version's name.
std::string ref_spelling_problem(const std::string& ref) {
  const std::vector<std::string> parts = split(ref, '/');
  if (parts.size() > 2) {
    return "has too many parts (found '" + ref + "', expected NAME or GROUP/NAME); shorten it";
  }
  for (const std::string& part : parts) {
    const std::string problem = spelling_problem(part);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string line_of(const RefMove& move) {
  return json{{"time", move.time},  {"event", move.event}, {"ref", move.ref},
              {"from", move.from},  {"to", move.to},       {"reason", move.reason},
              {"actor", move.actor}}
             .dump(-1, ' ', false, json::error_handler_t::replace) +
         "\n";
}

bool ends_line(const Path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() == 0) return true;
  in.seekg(-1, std::ios::end);
  return in.get() == '\n';
}

// Durable on return. A line that an earlier crash cut off stays on a line of its own.
void append_journal(const Path& root, const RefMove& move) {
  const Path path = journal_file(root);
  const std::string text = (ends_line(path) ? "" : "\n") + line_of(move);
  const int file =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
  bool good =
      file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  good = good && ::fsync(file) == 0;
  const int error = errno;
  if (file >= 0) ::close(file);
  if (good) return;
  fail(path.string(), ": cannot be written (", std::strerror(error),
       "); check permissions and free space");
}

// One move of ref_values(): `values` after it.
void apply(const RefMove& move, std::vector<std::string>& values) {
  if (move.event != "rollback") return values.push_back(move.to);
  while (!values.empty() && values.back() != move.to) values.pop_back();
  if (values.empty()) values.push_back(move.to);
}

std::string last_of(const std::vector<std::string>& values) {
  return values.empty() ? "" : values.back();
}

}  // namespace

StoreLock::StoreLock(Path root, std::chrono::seconds patience)
    : root_(std::move(root)), lock_(below(root_, ".versions/lock")) {
  const std::string where = (store_folder(root_) / "lock").string();
  LockState found = lock_.take(std::min(patience, std::chrono::seconds(1)));
  if (found == LockState::busy && patience > std::chrono::seconds(1)) {
    info(where + ": another process holds this lock; waiting for it");
    found = lock_.take(patience);
  }
  if (found == LockState::busy) {
    fail(where, ": another process has held this lock for ", patience.count(),
         " seconds; end it and try again (`fuser ", where, "` names it)");
  }
  if (found == LockState::free) return;
  warn(store_folder(root_).string() +
       ": this file system has no locks; do not change versions from two programs at once");
}

std::vector<std::string> ref_names(const Path& root) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(refs_folder(root), ignored)) {
    const std::string name = entry.path().lexically_relative(refs_folder(root)).generic_string();
    if (entry.is_regular_file() && ref_spelling_problem(name).empty()) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string read_ref(const Path& root, const std::string& ref) {
  if (!ref_spelling_problem(ref).empty()) return "";
  const Path path = refs_folder(root) / ref;
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) ? trim(read_file(path)) : "";
}

void move_ref(const StoreLock& lock, RefMove move) {
  const Path& root = lock.root();
  if (read_ref(root, move.ref).empty()) check_ref_name(root, move.ref);
  if (!spelling_problem(move.to).empty() || !is_committed(root / move.to)) {
    fail_usage("ref '", move.ref, "': cannot name '", move.to, "' (no committed version in ",
               root.string(), "); `lora log` lists them");
  }
  const char* user = std::getenv("USER");
  move.time = utc_now();
  move.from = read_ref(root, move.ref);
  move.actor = user == nullptr ? "" : user;
  append_journal(root, move);
  finish_move(lock, move);
}

std::vector<RefMove> read_journal(const Path& root, const std::string& ref) {
  std::vector<RefMove> moves;
  std::ifstream in(journal_file(root));
  for (std::string line; std::getline(in, line);) {
    const json read = try_parse_json<json>(line).value_or(json());
    try {
      RefMove move{.time = read.at("time"),
                   .event = read.at("event"),
                   .ref = read.at("ref"),
                   .from = read.at("from"),
                   .to = read.at("to"),
                   .reason = read.at("reason"),
                   .actor = read.at("actor")};
      if (ref.empty() || move.ref == ref) moves.push_back(std::move(move));
    } catch (const json::exception&) {
      continue;
    }
  }
  return moves;
}

std::vector<RefMove> unfinished_moves(const Path& root) {
  std::map<std::string, RefMove> last;
  for (RefMove& move : read_journal(root)) last[move.ref] = std::move(move);
  std::vector<RefMove> unfinished;
  for (const auto& [ref, move] : last) {
    const std::string now = read_ref(root, ref);
    const bool behind = now != move.to && (now.empty() || now == move.from);
    const bool possible = ref_spelling_problem(ref).empty() && spelling_problem(move.to).empty() &&
                          is_committed(root / move.to);
    if (behind && possible) unfinished.push_back(move);
  }
  return unfinished;
}

void finish_move(const StoreLock& lock, const RefMove& move) {
  write_file_atomic(below(refs_folder(lock.root()), move.ref), move.to + "\n");
}

std::vector<std::string> ref_values(const Path& root, const std::string& ref) {
  std::vector<std::string> values, before;
  for (const RefMove& move : read_journal(root, ref)) {
    if (last_of(values) != move.from) values = before;  // the last move did not reach the ref
    before = values;
    apply(move, values);
  }
  return last_of(values) == read_ref(root, ref) ? values : before;
}

std::string previous_version(const Path& root, const std::string& ref) {
  const std::vector<std::string> values = ref_values(root, ref);
  return values.size() < 2 ? "" : values[values.size() - 2];
}

void check_version_name(const Path& folder) {
  const Path root = root_of(folder);
  const std::string name = name_of(folder);
  const std::string problem = version_name_problem(name);
  if (!problem.empty()) fail_usage(folder.string(), ": its last part ", problem);
  const std::string target = read_ref(root, name);
  if (target.empty()) return;
  fail_usage(folder.string(), ": its last part is the name of a ref (found '", name,
             "', which names ", target, "); choose another name");
}

void check_ref_name(const Path& root, const std::string& ref) {
  const std::string where = "ref '" + ref + "': ";
  const std::string problem = ref_spelling_problem(ref);
  if (!problem.empty()) fail_usage(where, problem);
  if (ref == "latest" || ref == "current") return;
  if (!reserved_meaning(ref).empty()) {
    fail_usage(where, "is a reserved word (it stands for ", reserved_meaning(ref),
               "); choose another name");
  }
  if (fs::exists(root / ref)) {
    fail_usage(where, "is the name of a version or folder in ", root.string(),
               "; choose another name");
  }
  const Path path = refs_folder(root) / ref, group = path.parent_path();
  if (fs::is_directory(path) || (group != refs_folder(root) && fs::is_regular_file(group))) {
    fail_usage(where, "a ref is a group or a name, not both (found refs/",
               fs::is_directory(path) ? ref + "/..." : group.filename().string(),
               "); choose another name");
  }
}

}  // namespace lora
