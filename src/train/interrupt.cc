// SPDX-License-Identifier: Apache-2.0
#include "train/interrupt.h"

#include <omp.h>

#include <csignal>

namespace lora {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;  // a frame with all vector registers takes 12 KiB
constexpr int kSignals[] = {SIGINT, SIGTERM};

volatile std::sig_atomic_t& flag() {
  static volatile std::sig_atomic_t value = 0;
  return value;
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

InterruptScope::InterruptScope() : stack_(kStackBytes) {
  flag() = 0;
  const stack_t stack{.ss_sp = stack_.data(), .ss_flags = 0, .ss_size = stack_.size()};
  sigaltstack(&stack, &before_);
  mask_in_workers(SIG_BLOCK);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  for (const int number : kSignals) sigaction(number, &action, nullptr);
}

InterruptScope::~InterruptScope() {
  for (const int number : kSignals) std::signal(number, SIG_DFL);
  mask_in_workers(SIG_UNBLOCK);
  sigaltstack(&before_, nullptr);
}

bool interrupt_requested() { return flag() != 0; }
void request_interrupt() { flag() = 1; }

}  // namespace lora
