// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/softmax.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

// The largest of n elements, leaving out NaN; −∞ for n = 0.
template <class T>
T row_max(const T* x, int64_t n) {
  auto larger = [](auto a, auto b) { return b > a ? b : a; };  // a where b is NaN
  T largest[lanes];
  for (int lane = 0; lane < lanes; ++lane) largest[lane] = T(-__builtin_inf());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) largest[lane] = larger(largest[lane], x[i + lane]);
  for (int lane = 0; i < n; ++i, ++lane) largest[lane] = larger(largest[lane], x[i]);
  return pairwise(largest, larger);
}

// y = exp(x − shift), for a shift ≥ x, and returns the sum of y, which a NaN makes NaN. In the order of
// sum_over; written out so that y is stored and summed at once.
template <class T>
T exp_shifted(const T* x, T shift, T* y, int64_t n) {
  T partial[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    T e[lanes];
    for (int lane = 0; lane < lanes; ++lane) e[lane] = exponential_or_zero(x[i + lane] - shift);
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += e[lane];
    for (int lane = 0; lane < lanes; ++lane) y[i + lane] = e[lane];
  }
  for (int lane = 0; i < n; ++i, ++lane) partial[lane] += y[i] = exponential_or_zero(x[i] - shift);
  return pairwise(partial, Plus());
}

// For rows longer than a cache: by blocks, each with the largest so far taken off; where that grows, the sum
// shrinks. The block after the next is fetched meanwhile.
template <class T>
LogSum<T> log_sum_exp(const T* x, int64_t n) {
  constexpr int64_t block = 512;
  T largest = T(-__builtin_inf()), shift = 0, sum = 0;
  for (int64_t begin = 0; begin < n; begin += block) {
    const T* part = x + begin;
    int64_t count = n - begin < block ? n - begin : block, rest = n - begin - count;
    if (rest > block) prefetch(part + 2 * block, rest < 2 * block ? rest - block : block);
    T before = largest, highest = row_max(part, count);
    if (highest > largest) largest = highest;
    shift = largest > T(-__builtin_inf()) ? largest : T(0);  // −∞ can't be taken off
    sum = sum * exponential_or_zero(before - shift) +
          sum_over<T>(count, [=](int64_t i) { return exponential_or_zero(part[i] - shift); });
  }
  return {shift, logarithm(sum)};
}

template <class T>
void cross_entropy_gradient(const T* x, LogSum<T> log_sum, T share, T factor, T* dx, int64_t n) {
  T largest = log_sum.largest, rest = log_sum.rest;
  for (int64_t i = 0; i < n; ++i) dx[i] = (exponential_or_zero((x[i] - largest) - rest) - share) * factor;
}

template <class T>
T sum_shifted(const T* x, T shift, int64_t n) {
  return sum_over<T>(n, [=](int64_t i) { return x[i] - shift; });
}

template <class T>
void scale(T* y, T factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] *= factor;
}

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  return sum_over<T>(n, [=](int64_t i) { return a[i] * b[i]; });
}

template <class T>
void softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n)
    scale(y, T(1) / exp_shifted(x, row_max(x, n), y, n), n);
}

// dx = y (dy − Σ dy y)
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    T sum = dot(dy, y, n);
    for (int64_t i = 0; i < n; ++i) dx[i] = y[i] * (dy[i] - sum);
  }
}

template <class T>
void log_softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n) {
    T largest = row_max(x, n);
    T rest = logarithm(sum_over<T>(n, [=](int64_t i) { return exponential_or_zero(x[i] - largest); }));
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - largest) - rest;
  }
}

// dx = dy − exp(y) Σ dy
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    T sum = sum_over<T>(n, [=](int64_t i) { return dy[i]; });
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] - exponential_or_zero(y[i]) * sum;
  }
}

template <class T>
constexpr SoftmaxKernels<T> table() {
  return {.log_sum_exp = log_sum_exp<T>,
          .cross_entropy_gradient = cross_entropy_gradient<T>,
          .sum_shifted = sum_shifted<T>,
          .scale = scale<T>,
          .dot = dot<T>,
          .softmax = softmax<T>,
          .softmax_backward = softmax_backward<T>,
          .log_softmax = log_softmax<T>,
          .log_softmax_backward = log_softmax_backward<T>};
}

}  // namespace

extern const SoftmaxKernels<float> softmax_f32;
extern const SoftmaxKernels<double> softmax_f64;
const SoftmaxKernels<float> softmax_f32 = table<float>();
const SoftmaxKernels<double> softmax_f64 = table<double>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
