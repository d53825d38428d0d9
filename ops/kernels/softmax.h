// The inner loops of softmax, for rows in memory: also attention and cross-entropy work on them.
#pragma once
#include <cstdint>

namespace bertie {

template <class T>
struct SoftmaxKernels {
  // The largest of n elements, leaving out NaN; −∞ for n = 0.
  T (*row_max)(const T* x, int64_t n);
  // y = exp(x · scale − shift), and returns the sum of y. NaN stays NaN, so a row that holds one sums to NaN.
  // y may be x.
  T (*exp_shifted)(const T* x, T shift, T scale, T* y, int64_t n);
  // The same sum, without storing y.
  T (*sum_exp_shifted)(const T* x, T shift, T scale, int64_t n);
  // y = y · factor
  void (*scale)(T* y, T factor, int64_t n);
  // Σ a · b
  T (*dot)(const T* a, const T* b, int64_t n);
  // dx = y · (dy − shift) · factor: the gradient of y = softmax(x · factor), with shift = Σ dy · y. dx may be
  // dy.
  void (*backward)(const T* y, const T* dy, T shift, T factor, T* dx, int64_t n);

  // Whole rows: x, y, dy, dx [rows, n]; y may be x, dx may be dy.
  void (*softmax)(const T* x, T* y, int64_t rows, int64_t n);
  void (*softmax_backward)(const T* y, const T* dy, T* dx, int64_t rows, int64_t n);
  void (*log_softmax)(const T* x, T* y, int64_t rows, int64_t n);
  void (*log_softmax_backward)(const T* y, const T* dy, T* dx, int64_t rows, int64_t n);
};

// The table for the instruction set in use. T: float, double.
template <class T>
const SoftmaxKernels<T>& softmax_kernels();

}  // namespace bertie
