// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM ask a run to end after the current step; a second one ends it at once.
#pragma once

namespace lora {

// While it lives, SIGINT and SIGTERM set a flag. One at a time; the main thread's.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
};

bool interrupt_requested();
// The same as a signal, for tests and for the dashboard's stop button.
void request_interrupt();

}  // namespace lora
