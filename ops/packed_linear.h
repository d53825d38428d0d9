// Products with weights that are packed once and for all, for inference: where the libraries copy a weight
// into their order in each product, this one lies in it. In f32; rounded to bf16, half of the memory; or to
// int8, a fourth, and on CPUs with instructions for it several times the speed. docs/precision.md tells what
// is rounded how, and with what error.
#pragma once
#include "bertie/autograd/tensor.h"
#include "bertie/ops/matmul.h"

namespace bertie {

// A weight [out, in]. In f32 it is what it was. In bf16 each number is the nearest. In int8 each row is a
// scale and whole numbers of −127 … 127: w ≈ scale · q, off by half a scale at most; rows that aren't finite
// are NaN.
class PackedWeight {
 public:
  PackedWeight() = default;
  // W f32 [out, in]; type f32, bf16 or i8, and of that in ≤ 2¹⁶; else throws.
  PackedWeight(const Array& W, DType type);

  explicit operator bool() const { return static_cast<bool>(values_); }
  Shape shape() const { return {out_, in_}; }
  DType dtype() const { return values_.dtype(); }
  Array values() const;  // [out, in] f32: what the numbers stand for
  int64_t bytes() const;

 private:
  friend Tensor linear(const Tensor&, const PackedWeight&, const Tensor&, InputFunction);

  int64_t out_ = 0, in_ = 0;
  // [out / panel, in / n, panel, n], with zeros up to whole blocks. Of f32 n is 1, and the panels are those
  // of ops/kernels/attention.h; else they are of 16, and n · 16 numbers 64 bytes:
  // ops/kernels/packed_product.h.
  Array values_;
  Array scales_, totals_;  // of int8: f32, a number for each row: its scale and the sum of its numbers
};

// y = f(x) Wᵀ + b    x [..., in]   W [out, in]   b [out] f32, or no value for none   →   y [..., out], as
// linear() of ops/matmul.h; x and y are f32, or bf16 where W is. For int8 each row of f(x) is rounded to 256
// steps between its least and its largest number, the products of whole numbers are exact, and a row that
// isn't finite gives NaN. A row comes to the same bits whatever the others are. Has no gradient: backward()
// throws there. Throws on other shapes and types.
Tensor linear(const Tensor& x, const PackedWeight& W, const Tensor& b = {},
              InputFunction f = InputFunction::identity);

}  // namespace bertie
