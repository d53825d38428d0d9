#include "autograd/threads.h"

#include <omp.h>

#include <atomic>
#include <exception>

#include "autograd/error.h"

namespace bertie {

int thread_count() { return omp_get_max_threads(); }

void set_thread_count(int count) {
  check(count >= 1 && count <= 1024, "threads", "the number of threads must be 1 … 1024, got {}", count);
  omp_set_num_threads(count);
}

namespace detail {

void run_tasks(int64_t count, void* context, void (*task)(void*, int64_t)) {
  if (count <= 1 || omp_in_parallel() || thread_count() == 1) {
    for (int64_t index = 0; index < count; ++index) task(context, index);
    return;
  }
  std::exception_ptr first;
  std::atomic<bool> failed{false};
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t index = 0; index < count; ++index) {
    if (failed.load(std::memory_order_relaxed)) continue;
    try {
      task(context, index);
    } catch (...) {
      if (!failed.exchange(true)) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace detail
}  // namespace bertie
