// SPDX-License-Identifier: Apache-2.0
#include "train/interrupt.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <thread>

#include "io/aten.h"
#include "nn/kernels/attention.h"

namespace lora {
namespace {

volatile std::sig_atomic_t alarms = 0;

void on_alarm(int) { alarms = alarms + 1; }

// Sends signals to the thread that made it, handled as those of the scope are, while it lives.
class Alarms {
 public:
  Alarms() {
    struct sigaction own {};
    sigaction(SIGTERM, nullptr, &own);
    own.sa_handler = on_alarm;
    sigaction(SIGALRM, &own, nullptr);
    sender_ = std::jthread([receiver = pthread_self()](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pthread_kill(receiver, SIGALRM);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    });
  }
  ~Alarms() {
    sender_ = {};
    std::signal(SIGALRM, SIG_DFL);
  }
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;

 private:
  std::jthread sender_;
};

// Attention's products have strided operands, which oneDNN gives to the kernels in question.
at::Tensor attention_passes() {
  const at::Tensor x = at::arange(128 * 6 * 32, at::kFloat).remainder(7).view({1, 128, 6, 32});
  at::Tensor sum = at::zeros_like(x);
  for (int i = 0; i < 50; ++i) sum += kernels::attention(x, x, x, 0.1, {}, 0);
  return sum;
}

TEST(Interrupt, ASignalDuringAProductLeavesTheHeapAlone) {
  const at::Tensor quiet = attention_passes();
  const InterruptScope scope;
  const Alarms storm;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(at::equal(attention_passes(), quiet));
  EXPECT_GT(alarms, 10);
}

TEST(Interrupt, TheFirstSignalSetsTheFlagTheSecondEnds) {
  stack_t before{}, after{};
  sigaltstack(nullptr, &before);
  {
    const InterruptScope scope;
    EXPECT_FALSE(interrupt_requested());
    std::raise(SIGTERM);
    EXPECT_TRUE(interrupt_requested());
    EXPECT_EXIT(std::raise(SIGTERM), testing::KilledBySignal(SIGTERM), "");
  }
  sigaltstack(nullptr, &after);
  EXPECT_EQ(after.ss_sp, before.ss_sp);
  struct sigaction action {};
  sigaction(SIGINT, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
  const InterruptScope again;
  EXPECT_FALSE(interrupt_requested());
}

}  // namespace
}  // namespace lora
