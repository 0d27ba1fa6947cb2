// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, SIGTERM and SIGHUP ask a run to end after the current step; a second one ends it at once.
#pragma once

#include <csignal>
#include <vector>

namespace lora {

// While it lives, SIGINT, SIGTERM and SIGHUP (unless it is ignored: nohup) set a flag, and a
// terminal or pipe that is gone ends nothing. The main thread's; one inside another does nothing.
//
// The handler has a stack of its own: oneDNN's generated float32 products (jit_avx*_gemm_f32) keep
// the address of a workspace in the stack pointer, so that a frame pushed there by the system
// overwrites the heap.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  bool outer_;
  std::vector<char> stack_;
  stack_t before_{};
};

bool interrupt_requested();
// The same as a signal, for tests and for the dashboard's stop button.
void request_interrupt();

}  // namespace lora
