// Between what numbers are stored as and what they are computed in.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

// For T = bfloat16; for other types these copy.
template <class T>
struct ConversionKernels {
  void (*load)(const T* from, Compute<T>* to, int64_t n);
  void (*store)(const Compute<T>* from, T* to, int64_t n);
  void (*store_scaled)(const Compute<T>* from, Compute<T> factor, T* to, int64_t n);
  void (*store_sum)(const Compute<T>* a, const Compute<T>* b, T* to, int64_t n);
};

// The table for the instruction set in use. T: float, double or bfloat16.
template <class T>
const ConversionKernels<T>& conversion_kernels();

}  // namespace bertie
