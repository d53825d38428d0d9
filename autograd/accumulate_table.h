// The inner loops of accumulate.h, one table per element type and instruction set.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

template <class T>
struct AccumulateKernels {
  void (*add)(T* into, const T* from, int64_t n);                // into[i] += from[i]
  void (*add_to_sums)(Compute<T>* sums, const T* x, int64_t n);  // the same, in what T is computed in
  Compute<T> (*sum)(const T* x, int64_t n);                      // in a fixed order
  double (*sum_of_squares)(const T* x, int64_t n);               // in f64, in a fixed order
};

// The table for isa(). T: float, double or bfloat16.
template <class T>
const AccumulateKernels<T>& accumulate_kernels();

}  // namespace bertie
