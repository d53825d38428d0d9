// The product that most of a model's time goes into, in what its module's precision says.
#pragma once
#include "bertie/nn/precision.h"
#include "bertie/ops/packed_linear.h"

namespace bertie {

// y = f(x) Wᵀ + b    x [T, in] → y [T, out]. Of a module, whose parameters these are.
class Projection {
 public:
  Projection(Tensor weight, Tensor bias = {})  // [out, in], [out] or no value
      : weight_(std::move(weight)), bias_(std::move(bias)) {}
  Tensor forward(const Tensor& x, InputFunction f = InputFunction::identity) const;
  // In packed_f32, packed_bf16 and int8 the weight is packed once and for all, and the parameter gives its
  // value up; from there to another precision throws.
  void set_precision(Precision precision);
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  Tensor weight_, bias_;
  PackedWeight packed_;
};

}  // namespace bertie
