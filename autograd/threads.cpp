#include "bertie/autograd/threads.h"

#include <omp.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <vector>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

std::atomic<TaskCounts*> counting{nullptr};
std::mutex counts_mutex;  // tasks may run loops of their own

bool threads_lost = false;  // in the child of a fork()

}  // namespace

int thread_count() { return threads_lost ? 1 : omp_get_max_threads(); }

void set_thread_count(int count) {
  BERTIE_CHECK(count >= 1 && count <= most_threads, "threads", "the number of threads must be 1 … {}, got {}",
               +most_threads, count);
  omp_set_num_threads(count);
}

void rest_waiting_threads(char** argv, bool start_anew) {
  constexpr const char* spins = "2000";  // of some 20 ns each
  bool set = start_anew;
  if (!std::getenv("OMP_WAIT_POLICY") && !std::getenv("GOMP_SPINCOUNT"))
    set = setenv("GOMP_SPINCOUNT", spins, 1) == 0 || set;
  const char* blas_threads = std::getenv("OPENBLAS_NUM_THREADS");
  if (!blas_threads || std::string_view(blas_threads) != "1")
    set = setenv("OPENBLAS_NUM_THREADS", "1", 1) == 0 || set;
  if (!set) return;
  std::error_code error;  // by its name, which is how others find the process
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
}

namespace detail {

void run_tasks(int64_t count, void* context, void (*task)(void*, int64_t)) {
  if (TaskCounts* counts = counting.load(std::memory_order_relaxed)) {
    std::lock_guard lock(counts_mutex);
    int64_t& most = counts->most[task];
    most = std::max(most, count);
  }
  if (count <= 1 || omp_in_parallel() || thread_count() == 1) {
    for (int64_t index = 0; index < count; ++index) task(context, index);
    return;
  }
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { threads_lost = true; });
  // Each thread has a part of its own, the same one for the same count, so that what it wrote in one
  // operation is in its core's cache in the next; then it helps the others. Cores may lie far apart.
  struct alignas(64) Part {
    std::atomic<int64_t> next;
    int64_t end;
  };
  int64_t size = std::min<int64_t>(thread_count(), count);
  std::vector<Part> parts(size);
  for (int64_t i = 0; i < size; ++i) {
    parts[i].next = count * i / size;
    parts[i].end = count * (i + 1) / size;
  }
  std::exception_ptr first;
  std::atomic<bool> failed{false};
#pragma omp parallel
  for (int64_t i = 0; i < size; ++i) {
    Part& part = parts[(omp_get_thread_num() + i) % size];
    while (!failed.load(std::memory_order_relaxed) && part.next.load(std::memory_order_relaxed) < part.end) {
      int64_t index = part.next.fetch_add(1, std::memory_order_relaxed);
      if (index >= part.end) break;
      try {
        task(context, index);
      } catch (...) {
        if (!failed.exchange(true)) first = std::current_exception();
      }
    }
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace detail

TaskCounts::TaskCounts() {
  BERTIE_CHECK(!counting.exchange(this), "threads", "only one TaskCounts may be in scope");
}
TaskCounts::~TaskCounts() { counting = nullptr; }

}  // namespace bertie
