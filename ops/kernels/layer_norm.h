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
  // dx [rows, n]; may be dy.
  void (*input_gradient)(const T* x, const T* mean, const T* rstd, const T* weight, const T* dy, T* dx,
                         int64_t rows, int64_t n);
  // Adds Σ over the rows of dy · x̂ to dweight [n], and of dy to dbias [n], row after row.
  void (*parameter_gradients)(const T* x, const T* mean, const T* rstd, const T* dy, T* dweight, T* dbias,
                              int64_t rows, int64_t n);
};

// The table for the instruction set in use. T: float, double.
template <class T>
const LayerNormKernels<T>& layer_norm_kernels();

}  // namespace bertie
