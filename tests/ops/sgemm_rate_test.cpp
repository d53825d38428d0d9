#include "bertie/ops/sgemm_rate.h"

#include <gtest/gtest.h>

#include <chrono>

namespace bertie {
namespace {

// No product of 1024³ that it ran took longer than it did in all, and no CPU computes 100 TFLOP/s.
TEST(SgemmRate, IsThatOfAProductWithinItsTime) {
  auto start = std::chrono::steady_clock::now();
  double rate = measure_sgemm_gflops();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GE(rate, 2e-9 * (1 << 30) / seconds);
  EXPECT_LT(rate, 1e5);
}

}  // namespace
}  // namespace bertie
