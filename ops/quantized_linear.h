// Products with a weight in int8, for inference: a fourth of the memory, and on CPUs with instructions for
// them several times the speed. What is rounded how is in docs/precision.md.
#pragma once
#include "bertie/autograd/tensor.h"
#include "bertie/ops/matmul.h"

namespace bertie {

// A weight [out, in], each row as a scale and whole numbers of −127 … 127: w ≈ scale · q, off by half a scale
// at most. Rows that aren't finite are NaN.
class QuantizedWeight {
 public:
  QuantizedWeight() = default;
  explicit QuantizedWeight(const Array& W);  // f32 [out, in], in ≤ 2¹⁶; else throws

  explicit operator bool() const { return static_cast<bool>(values_); }
  Shape shape() const { return {out_, in_}; }
  Array values() const;  // [out, in] f32: what the numbers stand for
  int64_t bytes() const { return values_.bytes() + scales_.bytes() + totals_.bytes(); }

 private:
  friend Tensor linear(const Tensor&, const QuantizedWeight&, const Tensor&, InputFunction);

  int64_t out_ = 0, in_ = 0;
  Array values_;           // i8 [out / 16, in / 4, 16, 4], with zeros up to whole blocks: int8_product.h
  Array scales_, totals_;  // f32, a number for each row: its scale and the sum of its values
};

// y = f(x) Wᵀ + b    x [..., in] f32   W [out, in]   b [out], or no value for none   →   y [..., out], as
// linear() of ops/matmul.h. Each row of f(x) is rounded to 256 steps between its least and its largest
// number; the products of whole numbers are exact. A row that isn't finite gives NaN. Has no gradient:
// backward() throws there. Throws on other shapes and types.
Tensor linear(const Tensor& x, const QuantizedWeight& W, const Tensor& b = {},
              InputFunction f = InputFunction::identity);

}  // namespace bertie
