// The inner loops of dropout: draw the mask and apply it.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

constexpr int64_t dropout_block = 64;  // channels whose random words are drawn together

template <class T>
struct DropoutKernels {
  // y[c] = x[c] · scale where the random word of channel c is ≥ threshold, else 0; c = 0 … n-1. y may be x.
  // Channel c's word is number (c / 16) % 4 of philox(key, {(c / 64) · 16 + c % 16, c1, c2, c3}): one call
  // serves four channels 16 apart, so that 16 calls run side by side and store neighbors.
  void (*dropout_row)(const T* x, T* y, int64_t n, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3,
                      uint32_t threshold, Compute<T> scale);
  // The words that decide, for `rows` rows of n channels whose c1 are consecutive: words[row · stride + c]. A
  // row has room for whole blocks.
  void (*random_words)(int64_t rows, int64_t n, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3,
                       uint32_t* words, int64_t stride);
};

// The table for the instruction set in use. T: float, double or bfloat16.
template <class T>
const DropoutKernels<T>& dropout_kernels();

}  // namespace bertie
