// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include <cstdint>

#include "bertie/autograd/accumulate_table.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

// Partial sums: a fixed number, so that the order of a sum is the loop's, not the CPU's.
constexpr int lanes = 16;

template <class Sum, class T>
void add(Sum* into, const T* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) into[i] += from[i];
}

template <class Sum, class T, class F>
Sum reduce(const T* x, int64_t n, F f) {
  Sum partial[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += f(static_cast<Sum>(x[i + lane]));
  for (int lane = 0; i < n; ++i, ++lane) partial[lane] += f(static_cast<Sum>(x[i]));
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  return partial[0];
}

template <class T>
Compute<T> sum(const T* x, int64_t n) {
  return reduce<Compute<T>>(x, n, [](Compute<T> value) { return value; });
}

// Four stretches at once: a core reads memory a third faster in four streams than in one.
template <class T>
double sum_of_squares(const T* x, int64_t n) {
  constexpr int streams = 4;
  int64_t stretch = n / (streams * lanes) * lanes;
  double partial[streams * lanes] = {};
  for (int64_t i = 0; i < stretch; i += lanes)
    for (int stream = 0; stream < streams; ++stream)
      for (int lane = 0; lane < lanes; ++lane) {
        double value = static_cast<double>(static_cast<Compute<T>>(x[stream * stretch + i + lane]));
        partial[stream * lanes + lane] += value * value;
      }
  for (int width = streams * lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) partial[i] += partial[i + width];
  int64_t done = streams * stretch;
  return partial[0] + reduce<double>(x + done, n - done, [](double value) { return value * value; });
}

template <class T>
constexpr AccumulateKernels<T> table() {
  return {.add = add<T, T>,
          .add_to_sums = add<Compute<T>, T>,
          .sum = sum<T>,
          .sum_of_squares = sum_of_squares<T>};
}

}  // namespace

extern const AccumulateKernels<float> accumulate_f32;
extern const AccumulateKernels<double> accumulate_f64;
extern const AccumulateKernels<bfloat16> accumulate_bf16;
const AccumulateKernels<float> accumulate_f32 = table<float>();
const AccumulateKernels<double> accumulate_f64 = table<double>();
const AccumulateKernels<bfloat16> accumulate_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
