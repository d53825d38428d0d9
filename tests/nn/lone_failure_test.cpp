// What one of several processes fails with alone, in mid-step: it is told, and ends all, as the others would
// wait for this one's gradients.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "bertie/nn/training.h"
#include "tests/nn/classifier.h"

namespace bertie {
namespace {

struct AllEnded {};

// The first of two, of whom the other never answers.
class FirstOfTwo : public Processes {
 public:
  int rank() const override { return 0; }
  int count() const override { return 2; }
  void exchange(std::span<const std::byte>, std::span<const int64_t>, std::span<std::byte>,
                std::span<const int64_t>) override {
    wait();
  }
  void gather(std::span<std::byte>, std::span<const int64_t>) override { wait(); }
  [[noreturn]] void end_all() override {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    throw AllEnded();
  }

 private:
  double peer_timeout() const override { return 60; }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

class WithoutRoom : public Objective {
 public:
  int64_t begin_step(int64_t) override { return 2; }
  Tensor loss(int64_t) override { fail("memory", "there is no room"); }
};

TEST(LoneFailure, IsToldAndEndsAll) {
  Classifier model;
  ParameterBlock parameters(model);
  Adam optimizer(parameters, {});
  WithoutRoom objective;
  FirstOfTwo processes;
  std::string told;
  TrainingOptions options{.steps = 3,
                          .processes = &processes,
                          .tell_failure = [&](const std::exception& error) { told = error.what(); }};
  EXPECT_THROW(train(parameters, optimizer, options, objective, [](const StepReport&) { return true; }),
               AllEnded);
  EXPECT_EQ(told, "[memory] there is no room");
}

}  // namespace
}  // namespace bertie
