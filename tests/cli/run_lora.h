// SPDX-License-Identifier: Apache-2.0
// Runs the program itself, as a user would.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/files.h"

namespace lora::test {

struct Outcome {
  int code = -1;  // exit code; 128 + signal where one ended it
  std::string out, err;
};

// Starts `lora ARGUMENTS...`; its stdout and stderr go to `place`.out and `place`.err.
inline pid_t start_lora(const std::vector<std::string>& arguments, const std::string& place) {
  std::vector<char*> argv = {const_cast<char*>(LORA_BINARY)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string out = place + ".out", err = place + ".err";
  const pid_t child = fork();
  if (child != 0) return child;
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
  execv(LORA_BINARY, argv.data());
  _exit(127);
}

inline Outcome finish_lora(pid_t child, const std::string& place) {
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          read_file(place + ".out"), read_file(place + ".err")};
}

inline Outcome run_lora(const std::vector<std::string>& arguments, const Path& folder) {
  const std::string place = (folder / "lora").string();
  return finish_lora(start_lora(arguments, place), place);
}

}  // namespace lora::test
