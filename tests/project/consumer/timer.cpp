// A program with a timer whose handler runs on the thread that it interrupts, as a profiler's does, while
// that thread multiplies matrices. 10,000 signals must neither hurt the heap nor a result.
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <cstdio>
#include <vector>

#include <bertie/ops/gemm.h>
#include <bertie/ops/matmul.h>

namespace {

std::atomic<long> signals{0};

void count(int) { ++signals; }

}  // namespace

int main() {
  using namespace bertie;
  constexpr int64_t n = 96;
  set_gemm_backend(GemmBackend::onednn);
  struct sigaction action {};
  action.sa_handler = count;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  itimerval every{{0, 100}, {0, 100}};  // microseconds
  setitimer(ITIMER_REAL, &every, nullptr);

  Array one = Array::full({n, n}, 1, DType::f32), two = Array::full({n, n}, 2, DType::f32);
  long wrong = 0;
  while (signals < 10'000) {
    std::vector<std::vector<int>> blocks(50, std::vector<int>(100, 7));  // a heap to hurt
    for (bool a : {false, true})
      for (bool b : {false, true})
        for (float value : matmul(one, two, {a, b}).array().to_vector<float>()) wrong += value != 2 * n;
    for (const std::vector<int>& block : blocks)
      for (int value : block) wrong += value != 7;
  }
  itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  std::printf("10000 signals, %s number\n", wrong == 0 ? "no wrong" : "a wrong");
  return wrong == 0 ? 0 : 1;
}
