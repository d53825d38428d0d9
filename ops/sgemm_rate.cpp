#include "bertie/ops/sgemm_rate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "bertie/ops/gemm.h"

namespace bertie {

double measure_sgemm_gflops() {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t n = 1024;
  constexpr double gflop = 2e-9 * n * n * n;
  std::vector<float> a(n * n), b(n * n), c(n * n);
  for (int64_t i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i % 1021) / 1021 - 0.5f;
    b[i] = static_cast<float>(i % 769) / 769 - 0.5f;
  }
  Product<float> product{
      .M = n, .N = n, .K = n, .a = {a.data(), n}, .b = {b.data(), n}, .c = c.data(), .c_stride = n};
  auto seconds = [](Clock::duration time) { return std::chrono::duration<double>(time).count(); };
  double best = 0;
  Clock::time_point start = Clock::now();
  do {
    Clock::time_point before = Clock::now();
    gemm(product);
    best = std::max(best, gflop / seconds(Clock::now() - before));
  } while (seconds(Clock::now() - start) < 0.2);
  return best;
}

}  // namespace bertie
