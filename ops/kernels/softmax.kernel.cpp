// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/softmax.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

// The largest of n elements, leaving out NaN; −∞ for n = 0.
template <class T>
Compute<T> row_max(const T* x, int64_t n) {
  using C = Compute<T>;
  auto larger = [](auto a, auto b) { return b > a ? b : a; };  // a where b is NaN
  C largest[lanes];
  for (int lane = 0; lane < lanes; ++lane) largest[lane] = C(-__builtin_inf());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) largest[lane] = larger(largest[lane], C(x[i + lane]));
  for (int lane = 0; i < n; ++i, ++lane) largest[lane] = larger(largest[lane], C(x[i]));
  return pairwise(largest, larger);
}

// y = exp(x − shift), for a shift ≥ x, and returns the sum of y, which a NaN makes NaN. In the order of
// sum_over; written out so that y is stored and summed at once.
template <class T>
Compute<T> exp_shifted(const T* x, Compute<T> shift, T* y, int64_t n) {
  Compute<T> partial[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Compute<T> e[lanes];
    for (int lane = 0; lane < lanes; ++lane) e[lane] = exponential_or_zero(x[i + lane] - shift);
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += e[lane];
    for (int lane = 0; lane < lanes; ++lane) y[i + lane] = e[lane];
  }
  for (int lane = 0; i < n; ++i, ++lane) {
    Compute<T> e = exponential_or_zero(x[i] - shift);
    partial[lane] += e;
    y[i] = e;
  }
  return pairwise(partial, Plus());
}

// For rows longer than a cache: by blocks, each with the largest so far taken off; where that grows, the sum
// shrinks. The block after the next is fetched meanwhile.
template <class T>
LogSum<Compute<T>> log_sum_exp(const T* x, int64_t n) {
  using C = Compute<T>;
  constexpr int64_t block = 512;
  C largest = C(-__builtin_inf()), shift = 0, sum = 0;
  for (int64_t begin = 0; begin < n; begin += block) {
    const T* part = x + begin;
    int64_t count = n - begin < block ? n - begin : block, rest = n - begin - count;
    if (rest > block) prefetch(part + 2 * block, rest < 2 * block ? rest - block : block);
    C before = largest, highest = row_max(part, count);
    if (highest > largest) largest = highest;
    shift = largest > C(-__builtin_inf()) ? largest : C(0);  // −∞ can't be taken off
    sum = sum * exponential_or_zero(before - shift) +
          sum_over<C>(count, [=](int64_t i) { return exponential_or_zero(part[i] - shift); });
  }
  return {shift, logarithm(sum)};
}

template <class T>
void cross_entropy_gradient(const T* x, LogSum<Compute<T>> log_sum, Compute<T> share, Compute<T> factor,
                            T* dx, int64_t n) {
  Compute<T> largest = log_sum.largest, rest = log_sum.rest;
  for (int64_t i = 0; i < n; ++i) dx[i] = (exponential_or_zero((x[i] - largest) - rest) - share) * factor;
}

template <class T>
Compute<T> sum_shifted(const T* x, Compute<T> shift, int64_t n) {
  return sum_over<Compute<T>>(n, [=](int64_t i) { return x[i] - shift; });
}

template <class T>
void scale(T* y, Compute<T> factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] *= factor;
}

template <class T>
Compute<T> dot(const T* a, const T* b, int64_t n) {
  return sum_over<Compute<T>>(n, [=](int64_t i) { return a[i] * b[i]; });
}

template <class T>
void softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n)
    scale(y, Compute<T>(1) / exp_shifted(x, row_max(x, n), y, n), n);
}

// dx = y (dy − Σ dy y)
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    Compute<T> sum = dot(dy, y, n);
    for (int64_t i = 0; i < n; ++i) dx[i] = y[i] * (dy[i] - sum);
  }
}

template <class T>
void log_softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n) {
    Compute<T> largest = row_max(x, n);
    Compute<T> rest =
        logarithm(sum_over<Compute<T>>(n, [=](int64_t i) { return exponential_or_zero(x[i] - largest); }));
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - largest) - rest;
  }
}

// dx = dy − exp(y) Σ dy
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    Compute<T> sum = sum_over<Compute<T>>(n, [=](int64_t i) { return dy[i]; });
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] - exponential_or_zero(Compute<T>(y[i])) * sum;
  }
}

template <class T>
constexpr SoftmaxKernels<T> table() {
  return {.log_sum_exp = log_sum_exp<T>,
          .cross_entropy_gradient = cross_entropy_gradient<T>,
          .sum_shifted = sum_shifted<T>,
          .dot = dot<T>,
          .softmax = softmax<T>,
          .softmax_backward = softmax_backward<T>,
          .log_softmax = log_softmax<T>,
          .log_softmax_backward = log_softmax_backward<T>};
}

}  // namespace

extern const SoftmaxKernels<float> softmax_f32;
extern const SoftmaxKernels<double> softmax_f64;
extern const SoftmaxKernels<bfloat16> softmax_bf16;
const SoftmaxKernels<float> softmax_f32 = table<float>();
const SoftmaxKernels<double> softmax_f64 = table<double>();
const SoftmaxKernels<bfloat16> softmax_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
