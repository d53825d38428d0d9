#include "bench/bandwidth.h"

#include <algorithm>
#include <chrono>

#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

constexpr int64_t elements = int64_t{1} << 28, grain = int64_t{1} << 20;

}  // namespace

Bandwidth::Bandwidth() : block_(Array::empty({elements}, DType::f32)) {
  float* x = block_.mutable_data<float>();
  parallel_ranges(elements, grain, [&](int64_t begin, int64_t end) { std::fill(x + begin, x + end, 1.0f); });
}

double Bandwidth::gbs() {
  float* x = block_.mutable_data<float>();
  auto start = std::chrono::steady_clock::now();
  parallel_ranges(elements, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= 1.001f;
  });
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return 2e-9 * static_cast<double>(block_.bytes()) / seconds;
}

}  // namespace bertie
