// SPDX-License-Identifier: Apache-2.0
#include "train/interrupt.h"

#include <omp.h>

#include <csignal>

namespace lora {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;  // a frame with all vector registers takes 12 KiB
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

volatile std::sig_atomic_t& flag() {
  static volatile std::sig_atomic_t value = 0;
  return value;
}

bool& active() {
  static bool value = false;
  return value;
}

bool is_ignored(int number) {
  struct sigaction action {};
  return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void on_signal(int number) {
  flag() = 1;
  std::signal(number, SIG_DFL);  // the second one ends the program
}

// Workers have no stack for handlers; while the main thread handles one signal, they would get the
// next.
void mask_in_workers(int how) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kSignals) sigaddset(&set, number);
#pragma omp parallel
  if (omp_get_thread_num() != 0) pthread_sigmask(how, &set, nullptr);
}

}  // namespace

InterruptScope::InterruptScope() : outer_(!active()) {
  if (!outer_) return;
  active() = true;
  flag() = 0;
  stack_.resize(kStackBytes);
  const stack_t stack{.ss_sp = stack_.data(), .ss_flags = 0, .ss_size = stack_.size()};
  sigaltstack(&stack, &before_);
  mask_in_workers(SIG_BLOCK);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  for (const int number : kSignals) {
    if (number != SIGHUP || !is_ignored(number)) sigaction(number, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

InterruptScope::~InterruptScope() {
  if (!outer_) return;
  active() = false;
  for (const int number : kSignals) {
    if (!is_ignored(number)) std::signal(number, SIG_DFL);
  }
  std::signal(SIGPIPE, SIG_DFL);
  mask_in_workers(SIG_UNBLOCK);
  sigaltstack(&before_, nullptr);
}

bool interrupt_requested() { return flag() != 0; }
void request_interrupt() { flag() = 1; }

}  // namespace lora
