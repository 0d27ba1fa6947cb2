// SPDX-License-Identifier: Apache-2.0
// Runs the program as a user does: arguments in, exit code, stdout and stderr out.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace lora::test {

struct Ran {
  int code = -1;  // exit code; 128 + signal where a signal ended it
  std::string out, err;
  std::size_t peak_mib = 0;  // memory that it held at most
};

// A program that was started in `folder`.
class Program {
 public:
  Program(std::vector<std::string> command, const Path& folder) {
    const std::string name = (std::filesystem::temp_directory_path() / "lora_cli_XXXXXX").string();
    std::vector<char> made(name.begin(), name.end());
    made.push_back('\0');
    if (mkdtemp(made.data()) == nullptr) fail(name, ": no temporary folder");
    capture_ = made.data();
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    const std::string out = capture_ / "out", err = capture_ / "err";
    pid_ = fork();
    if (pid_ == 0) {
      const int to_out = open(out.c_str(), O_CREAT | O_WRONLY, 0600);
      const int to_err = open(err.c_str(), O_CREAT | O_WRONLY, 0600);
      if (chdir(folder.c_str()) == 0 && dup2(to_out, 1) == 1 && dup2(to_err, 2) == 2) {
        execvp(words[0], words.data());
      }
      _exit(127);
    }
    if (pid_ < 0) fail(command[0], ": cannot be started");
  }
  ~Program() {
    if (!ended()) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status_, 0);
    }
    std::filesystem::remove_all(capture_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Waits until `ready` holds; false: the program ended before, or a minute went by.
  bool wait_until(const std::function<bool()>& ready) {
    for (int i = 0; i < 30000; ++i) {
      if (ready()) return true;
      if (ended()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
  void send(int signal) { kill(pid_, signal); }
  // Stops it where it is; returns when it stands still. SIGCONT lets it go on.
  void hold() {
    send(SIGSTOP);
    waitpid(pid_, &status_, WUNTRACED);
  }
  pid_t pid() const { return pid_; }
  Ran wait() {
    if (!ended_) wait4(pid_, &status_, 0, &used_);
    ended_ = true;
    const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return {code, read_file(capture_ / "out"), read_file(capture_ / "err"),
            static_cast<std::size_t>(used_.ru_maxrss) / 1024};
  }

 private:
  bool ended() {
    if (!ended_) ended_ = wait4(pid_, &status_, WNOHANG, &used_) == pid_;
    return ended_;
  }

  Path capture_;
  pid_t pid_ = -1;
  int status_ = 0;
  rusage used_ = {};
  bool ended_ = false;
};

// A temporary folder in which the commands of the tests run. It holds new.jsonl and old.jsonl
// (letters of the example), v1.yaml (12 steps, rank 4) and v2.yaml (continues from v1, replay).
class Workplace {
 public:
  Workplace() {
    const std::string name = (std::filesystem::temp_directory_path() / "lora_work_XXXXXX").string();
    std::vector<char> made(name.begin(), name.end());
    made.push_back('\0');
    if (mkdtemp(made.data()) == nullptr) fail(name, ": no temporary folder");
    folder_ = made.data();
    copy_lines("support_v1/train.jsonl", "old.jsonl", 24);
    copy_lines("support_v1/valid.jsonl", "eval.jsonl", 4);
    copy_lines("support_v2/train.jsonl", "new.jsonl", 24);
    const std::string common = "base_model: " + base() +
                               "\nbatch_size: 2\nmixed_precision: no\nthreads: 1\n"
                               "max_seq_length: 256\nlogging_steps: 1\n";
    write("v1.yaml", "# letters about lamps\n" + common +
                         "train_data_dir: old.jsonl\noutput_dir: ./output/v1\nlora_rank: 4\n"
                         "lora_alpha: 8\ntarget_modules: q_proj,v_proj\nlora_dropout: 0.1\n"
                         "learning_rate: 2e-3\nmax_steps: 12\n");
    write("v2.yaml", common +
                         "init_lora_weights: ./output/v1/pytorch_lora_weights.safetensors\n"
                         "train_data_dir: new.jsonl\noutput_dir: ./output/v2\nreplay: 0.5\n"
                         "max_steps: 6\n");
  }
  ~Workplace() { std::filesystem::remove_all(folder_); }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  Path operator/(const std::string& name) const { return folder_ / name; }
  std::string base() const { return std::string(LORA_SOURCE_DIR) + "/examples/llm/base"; }
  std::string read(const std::string& name) const { return read_file(folder_ / name); }
  bool has(const std::string& name) const { return std::filesystem::exists(folder_ / name); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  Program start(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), LORA_BINARY);
    return Program(arguments, folder_);
  }
  Ran lora(const std::vector<std::string>& arguments) const { return start(arguments).wait(); }
  Ran shell(const std::string& command) const {
    return Program({"/bin/sh", "-c", command}, folder_).wait();
  }
  // `lora train --config CONFIG more...`
  Ran train(const std::string& config, std::vector<std::string> more) const {
    more.insert(more.begin(), {"train", "--config", config});
    return lora(more);
  }
  // The adapter of a version.
  std::string adapter(const std::string& version) const {
    return read("output/" + version + "/pytorch_lora_weights.safetensors");
  }

 private:
  void copy_lines(const std::string& from, const std::string& to, int count) const {
    std::ifstream in(std::string(LORA_SOURCE_DIR) + "/examples/llm/" + from);
    std::string text;
    for (std::string line; count > 0 && std::getline(in, line); --count) text += line + "\n";
    write(to, text);
  }

  Path folder_;
};

// Shared by the tests of a process; v1 is trained at the first call, and tests leave it as it is.
inline const Workplace& workplace() {
  static const Workplace place;
  static const Ran trained = place.train("v1.yaml", {});
  if (trained.code != 0) fail("lora train: ", trained.err);
  return place;
}

}  // namespace lora::test
