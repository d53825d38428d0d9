// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "ops/kernels/softmax.h"

#include "ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class T>
T row_max(const T* x, int64_t n) {
  T largest[lanes];
  for (int lane = 0; lane < lanes; ++lane) largest[lane] = T(-__builtin_inf());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      largest[lane] = x[i + lane] > largest[lane] ? x[i + lane] : largest[lane];
  for (int lane = 0; i < n; ++i, ++lane) largest[lane] = x[i] > largest[lane] ? x[i] : largest[lane];
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane)
      largest[lane] = largest[lane + width] > largest[lane] ? largest[lane + width] : largest[lane];
  return largest[0];
}

template <class T>
T exp_shifted(const T* x, T shift, T scale, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = exponential(x[i] * scale - shift);
  return sum_over<T>(n, [=](int64_t i) { return y[i]; });
}

template <class T>
T sum_exp_shifted(const T* x, T shift, T scale, int64_t n) {
  return sum_over<T>(n, [=](int64_t i) { return exponential(x[i] * scale - shift); });
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
void backward(const T* y, const T* dy, T shift, T factor, T* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dx[i] = y[i] * (dy[i] - shift) * factor;
}

template <class T>
void softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n)
    scale(y, T(1) / exp_shifted(x, row_max(x, n), T(1), y, n), n);
}

// dx = y (dy − Σ dy y)
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, y += n, dy += n, dx += n)
    backward(y, dy, dot(dy, y, n), T(1), dx, n);
}

template <class T>
void log_softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n) {
    T largest = row_max(x, n), rest = logarithm(sum_exp_shifted(x, largest, T(1), n));
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - largest) - rest;
  }
}

// dx = dy − exp(y) Σ dy
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    T sum = sum_over<T>(n, [=](int64_t i) { return dy[i]; });
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] - exponential(y[i]) * sum;
  }
}

template <class T>
constexpr SoftmaxKernels<T> table() {
  return {row_max<T>,  exp_shifted<T>, sum_exp_shifted<T>,  scale<T>,       dot<T>,
          backward<T>, softmax<T>,     softmax_backward<T>, log_softmax<T>, log_softmax_backward<T>};
}

}  // namespace

extern const SoftmaxKernels<float> softmax_f32;
extern const SoftmaxKernels<double> softmax_f64;
const SoftmaxKernels<float> softmax_f32 = table<float>();
const SoftmaxKernels<double> softmax_f64 = table<double>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
