// The inner loops of layer normalization, over rows of n elements.
#pragma once
#include <cstdint>

namespace bertie {

template <class T>
struct LayerNormKernels {
  // y = (x − mean) · rstd · weight + bias, with rstd = 1 / √(variance + ε). x, y [rows, n], weight, bias [n];
  // mean and rstd [rows] are written for the gradient. y may be x.
  void (*forward)(const T* x, const T* weight, const T* bias, T epsilon, T* y, T* mean, T* rstd, int64_t rows,
                  int64_t n);
  // dx [rows, n], which may be dy, and, added row after row, to dweight [n] Σ over the rows of dy · x̂ and to
  // dbias [n] Σ dy.
  void (*backward)(const T* x, const T* mean, const T* rstd, const T* weight, const T* dy, T* dx, T* dweight,
                   T* dbias, int64_t rows, int64_t n);
};

// The table for the instruction set in use. T: float, double.
template <class T>
const LayerNormKernels<T>& layer_norm_kernels();

}  // namespace bertie
