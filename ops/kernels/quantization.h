// Between f32 and int8: the loops beside an int8 product.
#pragma once
#include <cstdint>

namespace bertie {

// x ≈ low + step · q with q = 0 … 255: exact at the row's least and largest number, and nowhere off by more
// than half a step; but a row whose range is below 10⁻³⁶ is constant. Where a number isn't finite, step is
// NaN, and so will be what is computed from the row.
struct ByteRow {
  float low, step;
};

struct QuantizationKernels {
  ByteRow (*to_bytes)(const float* x, uint8_t* q, int64_t n);
  // x ≈ scale · q with q = −127 … 127; returns scale, of a row that isn't finite NaN.
  float (*to_int8)(const float* x, int8_t* q, int64_t n);
  // y = scale ∘ (x.step · sums + x.low · totals) + bias, which may be null.    all [n]
  void (*from_sums)(const int32_t* sums, ByteRow x, const float* scale, const float* totals,
                    const float* bias, float* y, int64_t n);
};

// The table for the instruction set in use.
const QuantizationKernels& quantization_kernels();

}  // namespace bertie
