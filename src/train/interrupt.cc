// SPDX-License-Identifier: Apache-2.0
#include "train/interrupt.h"

#include <csignal>

namespace lora {
namespace {

volatile std::sig_atomic_t& flag() {
  static volatile std::sig_atomic_t value = 0;
  return value;
}

void on_signal(int number) {
  flag() = 1;
  std::signal(number, SIG_DFL);  // the second one ends the program
}

}  // namespace

InterruptScope::InterruptScope() {
  flag() = 0;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

InterruptScope::~InterruptScope() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool interrupt_requested() { return flag() != 0; }
void request_interrupt() { flag() = 1; }

}  // namespace lora
