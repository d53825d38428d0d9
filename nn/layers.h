// The small layers: Linear, LayerNorm, Dropout, Activation and Embedding.
#pragma once
#include "bertie/nn/initializer.h"
#include "bertie/nn/module.h"
#include "bertie/nn/projection.h"

namespace bertie {

// An activation by its name in configurations: gelu (erf form), gelu_new (tanh form), relu, silu,
// tanh, sigmoid.
class Activation : public Layer {
 public:
  explicit Activation(const std::string& name);  // throws on another name
  Tensor forward(const Tensor& x, const Pass& = {}) const override { return function_(x); }

 private:
  friend class Linear;
  Tensor (*function_)(const Tensor&);
  InputFunction as_input_ = InputFunction::identity;  // the same within linear(), where that has it
};

// y = x Wᵀ + b    x [T, in] → y [T, out]. Parameters: weight [out, in] and, where wanted, bias [out].
class Linear : public Layer {
 public:
  Linear(int64_t in, int64_t out, Initializer& init, bool with_bias = true);
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override;
  // y = f(x) Wᵀ + b. Takes less memory than forward(f.forward(x)) where f is a form of GELU.
  Tensor forward_of(const Activation& f, const Tensor& x) const;
  const Tensor& weight() const { return projection_.weight(); }
  const Tensor& bias() const { return projection_.bias(); }  // no value without one

 protected:
  void adopt(Precision precision) override { projection_.set_precision(precision); }

 private:
  Projection projection_;
};

// Row ids[t] of weight [V, H]    ids [T] → y [T, H].
class Embedding : public Module {
 public:
  Embedding(int64_t rows, int64_t width, Initializer& init);
  Tensor forward(const Array& ids) const;
  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;
};

// Ba et al., 2016, over the last axis. Parameters: weight [H] (from 1), bias [H] (from 0).
class LayerNorm : public Layer {
 public:
  LayerNorm(int64_t width, double epsilon, Initializer& init);
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override;

 private:
  double epsilon_;
  Tensor weight_, bias_;
};

// In train mode sets elements to zero with probability `rate` and scales the others by 1 / (1 − rate). What
// it draws depends on the place in the model (site()), so it throws there unless it is some module's child.
// x [T, …]; pass.packing covers the T tokens.
class Dropout : public Layer {
 public:
  explicit Dropout(double rate);  // throws outside 0 … 1; rate 1, of which nothing stays, in train mode only
  Tensor forward(const Tensor& x, const Pass& pass) const override;

 private:
  double rate_;
};

}  // namespace bertie
