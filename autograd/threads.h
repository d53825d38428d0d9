// The one pool of threads: OpenMP's. Work is cut into tasks by shape alone, never by the number of threads,
// and a sum stays within a task or is that of the tasks' sums, added in their order afterwards. So results
// are the same bits on any number of threads.
#pragma once
#include <cstdint>
#include <map>
#include <type_traits>

namespace bertie {

constexpr int most_threads = 256;  // Debian's OpenBLAS is built for 64 and crashes from some 500 on
// How many threads the loops below use where the calling thread comes to one. Each thread has a number of its
// own, at first OpenMP's (OMP_NUM_THREADS, else a thread per processor): what set_thread_count() says holds
// for the thread that calls it and for no other. In a child process of fork() it is 1 for good where the
// parent had run such a loop on several: threads aren't copied, and OpenMP would wait for them.
int thread_count();
void set_thread_count(int count);  // 1 … most_threads, else throws

// For a program's main(), before all else: makes the threads rest where they wait for one another, unless the
// user set OMP_WAIT_POLICY or GOMP_SPINCOUNT. libgomp's spin for milliseconds at the end of each loop. Where
// other programs want the processors, a spinning thread takes the place of the one that it waits for, and a
// training step takes 5 to 8 times as long. So they spin about as long as waking one takes, which costs
// little on an idle machine, too. And OpenBLAS shall start no threads of its own, by OPENBLAS_NUM_THREADS:
// they would have nothing to do, and where addresses are limited, each asks for a buffer forever. Both
// libraries read their variables when they are loaded: so where one must be set, or was (`start_anew`), this
// starts the program anew, with `argv` (which ends with a null pointer) as before. Returns where it needn't,
// or can't.
void rest_waiting_threads(char** argv, bool start_anew = false);

namespace detail {
void run_tasks(int64_t count, void* context, void (*task)(void*, int64_t));
}

// Calls task(0) … task(count - 1), on any thread and in any order, and returns when all are done. Inside a
// task a further call runs serially. The first exception of a task is thrown again here.
template <class Task>
void parallel_tasks(int64_t count, Task&& task) {
  detail::run_tasks(count, &task, [](void* context, int64_t index) {
    (*static_cast<std::remove_reference_t<Task>*>(context))(index);
  });
}

// Calls body(begin, end) for consecutive ranges of [0, count), a task for each, of `grain` elements; the last
// may have fewer.
template <class Body>
void parallel_ranges(int64_t count, int64_t grain, Body&& body) {
  parallel_tasks((count + grain - 1) / grain, [&](int64_t index) {
    int64_t begin = index * grain;
    body(begin, begin + grain < count ? begin + grain : count);
  });
}

// For tests: while one is in scope, the most tasks that each loop was cut into, on however many threads they
// ran. A loop is a place that calls parallel_tasks or parallel_ranges, for one element type. One at a time.
class TaskCounts {
 public:
  TaskCounts();
  ~TaskCounts();
  TaskCounts(const TaskCounts&) = delete;
  TaskCounts& operator=(const TaskCounts&) = delete;

  using Loop = void (*)(void*, int64_t);
  std::map<Loop, int64_t> most;
};

}  // namespace bertie
