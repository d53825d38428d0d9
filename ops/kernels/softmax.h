// The inner loops of softmax, for rows in memory: cross-entropy uses them, too, and attention one.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

// ln Σ exp(x) = largest + rest. Apart, because in their sum a large first number swallows the second: of four
// logits of 10⁸ each in f32, ln 4 would be gone.
template <class T>
struct LogSum {
  T largest;  // of x, leaving out NaN; 0 where all are −∞ or there are none
  T rest;  // ln Σ exp(x − largest): −∞ where all are −∞ or there are none, NaN where one is NaN or +∞
};

template <class T>
struct SoftmaxKernels {
  LogSum<Compute<T>> (*log_sum_exp)(const T* x, int64_t n);
  // dx = (exp(x − log_sum) − share) · factor, with the log_sum of x; dx may be x
  void (*cross_entropy_gradient)(const T* x, LogSum<Compute<T>> log_sum, Compute<T> share, Compute<T> factor,
                                 T* dx, int64_t n);
  // Σ (x − shift)
  Compute<T> (*sum_shifted)(const T* x, Compute<T> shift, int64_t n);
  // Σ a · b
  Compute<T> (*dot)(const T* a, const T* b, int64_t n);

  // Whole rows: x, y, dy, dx [rows, n]; y may be x, dx may be dy.
  void (*softmax)(const T* x, T* y, int64_t rows, int64_t n);
  void (*softmax_backward)(const T* y, const T* dy, T* dx, int64_t rows, int64_t n);
  void (*log_softmax)(const T* x, T* y, int64_t rows, int64_t n);
  void (*log_softmax_backward)(const T* y, const T* dy, T* dx, int64_t rows, int64_t n);
};

// The table for the instruction set in use. T: float, double or bfloat16.
template <class T>
const SoftmaxKernels<T>& softmax_kernels();

}  // namespace bertie
