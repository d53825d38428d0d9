// Models small enough to compute by hand, in f64 unless they are told otherwise.
#pragma once
#include "bertie/autograd/backward.h"
#include "bertie/nn/layers.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/reduce.h"

namespace bertie {

// W₂ dropout(tanh(W₁ x + b₁)) + b₂    [T, in] → [T, out]
struct TwoLayers : Layer {
  explicit TwoLayers(Initializer init = Initializer::fan_in(1, DType::f64), int64_t in = 3, int64_t width = 4,
                     int64_t out = 2, double dropout_rate = 0.5)
      : first(in, width, init), dropout(dropout_rate), second(width, out, init) {
    add_module("first", first);
    add_module("dropout", dropout);
    add_module("second", second);
  }
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
    return second.forward(dropout.forward(bertie::tanh(first.forward(x)), pass));
  }
  Linear first;
  Dropout dropout;
  Linear second;
};

// One sequence.
inline Pass pass_of(int64_t tokens, uint64_t step = 0) { return {{{0, tokens}}, 7, step}; }

// A model with one parameter of two axes and one of one axis, and gradients set by hand.
struct TwoParameters : Module {
  TwoParameters() {
    matrix = add_parameter("matrix", Array::full({1, 1}, 2, DType::f64));
    vector = add_parameter("vector", Array::full({1}, 2, DType::f64));
  }
  void set_gradients(double value) {
    matrix.zero_grad();
    vector.zero_grad();
    backward(sum(scale(matrix, value)));
    backward(sum(scale(vector, value)));
  }
  Tensor matrix, vector;
};

}  // namespace bertie
