// Products of matrices, as tensors.
#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
};

// y = op(a) · op(b)    op(a) [..., M, K]   op(b) [..., K, N] or [K, N]   →   y [..., M, N]. op() is the
// tensor as it is or, by the options, with its last two axes swapped (nothing is copied). The leading axes
// are the same in both, or b has none and serves every matrix of a. f32 or f64, both the same. Throws on
// other shapes and types.
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

// y = f(x) Wᵀ + b    x [..., in]   W [out, in]   b [out], or no value for none   →   y [..., out]. Leading
// axes of x are rows. f32 or f64, all the same. Throws on other shapes and types.
//
// f is the identity, gelu or gelu_tanh (ops/elementwise.h). linear(gelu(x), W, b) gives the same, but keeps
// both x and gelu(x) for the backward pass; here x alone is kept, and f(x) computed again together with its
// derivative.
enum class InputFunction { identity, gelu, gelu_tanh };
Tensor linear(const Tensor& x, const Tensor& W, const Tensor& b = {},
              InputFunction f = InputFunction::identity);

}  // namespace bertie
