// The inner loops of Newton–Schulz iterations beside their products (nn/muon.h).
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

template <class T>
struct NewtonSchulzKernels {
  // y ← factor · x, which may be the same memory where the types are
  void (*scale)(T* y, const Compute<T>* x, int64_t n, double factor);
  // y ← of_a · a + of_b · b; y is neither
  void (*combine)(T* y, const T* a, const T* b, int64_t n, double of_a, double of_b);
};

// The table for the instruction set in use. T: float, double, bfloat16.
template <class T>
const NewtonSchulzKernels<T>& newton_schulz_kernels();

}  // namespace bertie
