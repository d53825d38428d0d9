// Products with weights that are rounded once and for all, for inference: to int8, a fourth of the memory and
// on CPUs with instructions for it several times the speed, or to bf16, a half. docs/precision.md tells what
// is rounded how, and with what error.
#pragma once
#include "bertie/autograd/tensor.h"
#include "bertie/ops/matmul.h"

namespace bertie {

// A weight [out, in]. In int8 each row is a scale and whole numbers of −127 … 127: w ≈ scale · q, off by half
// a scale at most; rows that aren't finite are NaN. In bf16 each number is the nearest.
class QuantizedWeight {
 public:
  QuantizedWeight() = default;
  // W f32 [out, in], in ≤ 2¹⁶; type i8 or bf16; else throws.
  explicit QuantizedWeight(const Array& W, DType type = DType::i8);

  explicit operator bool() const { return static_cast<bool>(values_); }
  Shape shape() const { return {out_, in_}; }
  DType dtype() const { return values_.dtype(); }
  Array values() const;  // [out, in] f32: what the numbers stand for
  int64_t bytes() const;

 private:
  friend Tensor linear(const Tensor&, const QuantizedWeight&, const Tensor&, InputFunction);

  int64_t out_ = 0, in_ = 0;
  // [out / 16, in / n, 16, n], n · 16 of them 64 bytes, with zeros up to whole blocks: packed_product.h.
  Array values_;
  Array scales_, totals_;  // of int8: f32, a number for each row: its scale and the sum of its numbers
};

// y = f(x) Wᵀ + b    x [..., in]   W [out, in]   b [out] f32, or no value for none   →   y [..., out], as
// linear() of ops/matmul.h; x and y are f32, or bf16 where W is. For int8 each row of f(x) is rounded to 256
// steps between its least and its largest number, the products of whole numbers are exact, and a row that
// isn't finite gives NaN. Has no gradient: backward() throws there. Throws on other shapes and types.
Tensor linear(const Tensor& x, const QuantizedWeight& W, const Tensor& b = {},
              InputFunction f = InputFunction::identity);

}  // namespace bertie
