#include "bertie/autograd/threads.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace bertie {
namespace {

class Threads : public ::testing::Test {
 protected:
  ~Threads() override { set_thread_count(before_); }

 private:
  int before_ = thread_count();
};

TEST_F(Threads, EveryTaskRunsOnce) {
  for (int threads : {1, 2, 3, 8}) {
    set_thread_count(threads);
    for (int64_t count : {0, 1, 2, 5, 7, 8, 9, 1000}) {
      std::vector<std::atomic<int>> runs(count);
      parallel_tasks(count, [&](int64_t index) { ++runs.at(index); });
      for (const auto& times : runs) EXPECT_EQ(times, 1) << count << " tasks, " << threads << " threads";
    }
  }
}

TEST_F(Threads, AThreadThatIsDoneHelpsTheOthers) {
  set_thread_count(2);
  std::atomic<int> others{0};
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  parallel_tasks(8, [&](int64_t index) {
    if (index == 0)
      while (others < 7 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    else if (std::chrono::steady_clock::now() < end)
      ++others;
  });
  EXPECT_EQ(others, 7);
}

TEST_F(Threads, ATasksExceptionIsThrownAgain) {
  for (int threads : {1, 3}) {
    set_thread_count(threads);
    EXPECT_THROW(parallel_tasks(100,
                                [](int64_t i) {
                                  if (i % 10 == 3) throw std::runtime_error("3");
                                }),
                 std::runtime_error);
  }
}

TEST_F(Threads, TasksWithinATaskRunInOrder) {
  set_thread_count(2);
  std::vector<std::vector<int64_t>> order(4);
  parallel_tasks(
      4, [&](int64_t outer) { parallel_tasks(3, [&](int64_t inner) { order[outer].push_back(inner); }); });
  for (const auto& inner : order) EXPECT_EQ(inner, (std::vector<int64_t>{0, 1, 2}));
}

// Each loop apart, whether its tasks run on several threads, on one or within a task.
TEST_F(Threads, TasksOfEachLoopAreCounted) {
  for (int threads : {1, 2}) {
    set_thread_count(threads);
    TaskCounts counts;
    for (int64_t size : {10, 25, 1})
      parallel_ranges(size, 10, [](int64_t, int64_t) { parallel_tasks(7, [](int64_t) {}); });
    std::vector<int64_t> most;
    for (auto [loop, count] : counts.most) most.push_back(count);
    std::sort(most.begin(), most.end());
    EXPECT_EQ(most, (std::vector<int64_t>{3, 7})) << threads;
  }
  TaskCounts none;
  EXPECT_TRUE(none.most.empty());
  EXPECT_THROW(TaskCounts(), std::exception);
}

// The last range is the rest, whatever it is.
TEST_F(Threads, RangesCoverEachElementOnce) {
  for (int64_t size : {0, 1, 9, 10, 11, 29}) {
    std::vector<std::atomic<int>> visits(size);
    parallel_ranges(size, 10, [&](int64_t begin, int64_t end) {
      EXPECT_LT(begin, end);
      EXPECT_EQ(begin % 10, 0);
      for (int64_t i = begin; i < end; ++i) ++visits.at(i);
    });
    for (const auto& times : visits) EXPECT_EQ(times, 1) << size;
  }
}

TEST_F(Threads, TheNumberIsTheCallingThreadsOwn) {
  set_thread_count(3);
  int at_first = 0, afterwards = 0;
  std::thread([&] {
    at_first = thread_count();
    set_thread_count(5);
    afterwards = thread_count();
  }).join();
  EXPECT_NE(at_first, 5);
  EXPECT_EQ(afterwards, 5);
  EXPECT_EQ(thread_count(), 3);
}

// The pool's threads don't exist in a child process: it computes alone instead of waiting for them.
TEST_F(Threads, AChildProcessComputesOnItsOwn) {
  set_thread_count(3);
  parallel_tasks(8, [](int64_t) {});
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60);  // where it hangs
    set_thread_count(2);
    int64_t sum = 0;
    bool alone = thread_count() == 1;
    parallel_tasks(100, [&](int64_t i) { sum += i; });
    _exit(alone && sum == 4950 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  std::atomic<int64_t> sum{0};  // and the parent goes on as before
  parallel_tasks(100, [&](int64_t i) { sum += i; });
  EXPECT_EQ(sum, 4950);
  EXPECT_EQ(thread_count(), 3);
}

}  // namespace
}  // namespace bertie
