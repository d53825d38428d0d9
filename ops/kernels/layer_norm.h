// The inner loops of layer normalization, over rows of n elements.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

// What makes x̂ = (x − mean) · rstd + shift of a row. The shift is what rounding took from the mean, times
// −rstd: beside elements of 1000 ± 1 it would show in the fifth digit of x̂.
template <class T>
struct LayerNormRow {
  T mean;
  T rstd;  // 1 / √(variance + ε); NaN where the variance overflows
  T shift;
};

template <class T>
struct LayerNormKernels {
  // y = x̂ · weight + bias. x, y [rows, n], weight, bias [n]; `statistics` [rows] are written for the
  // gradient. y may be x.
  void (*forward)(const T* x, const Compute<T>* weight, const Compute<T>* bias, Compute<T> epsilon, T* y,
                  LayerNormRow<Compute<T>>* statistics, int64_t rows, int64_t n);
  // dx [rows, n], which may be dy, and, added row after row, to dweight [n] Σ over the rows of dy · x̂ and to
  // dbias [n] Σ dy.
  void (*backward)(const T* x, const LayerNormRow<Compute<T>>* statistics, const Compute<T>* weight,
                   const T* dy, T* dx, Compute<T>* dweight, Compute<T>* dbias, int64_t rows, int64_t n);
};

// The table for the instruction set in use. T: float, double or bfloat16.
template <class T>
const LayerNormKernels<T>& layer_norm_kernels();

}  // namespace bertie
