// The inner loops of the elementwise operations.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

// y[i] = a[i] ∘ b[i], where a step of 0 instead of 1 repeats the first element.
template <class T>
using BinaryLoop = void (*)(const T* a, int64_t a_step, const T* b, int64_t b_step, T* y, int64_t n);
// y[i] = f(x[i]); y may be x.
template <class T>
using UnaryLoop = void (*)(const T* x, T* y, int64_t n);
// dx[i] = dy[i] · f'(…), where `saved` is x or y = f(x), as the operation says; dx may be dy.
template <class T>
using GradientLoop = void (*)(const T* saved, const T* dy, T* dx, int64_t n);

// y[i] = f(x[i]) and dx[i] = dy[i] · f'(x[i]); y may be x, and dx may be dy.
template <class T>
using ValueAndGradientLoop = void (*)(const T* x, const T* dy, T* y, T* dx, int64_t n);

template <class T>
struct ElementwiseKernels {
  BinaryLoop<T> add, subtract, multiply, divide;
  UnaryLoop<T> exp, log, sqrt, tanh, sigmoid, relu, gelu, gelu_tanh;
  GradientLoop<T> exp_gradient, sqrt_gradient, tanh_gradient, sigmoid_gradient, relu_gradient;  // of y
  GradientLoop<T> log_gradient, gelu_gradient, gelu_tanh_gradient;                              // of x
  ValueAndGradientLoop<T> gelu_and_gradient, gelu_tanh_and_gradient;
  // y = x · factor + shift; y may be x.
  void (*scale_and_shift)(const T* x, Compute<T> factor, Compute<T> shift, T* y, int64_t n);

  UnaryLoop<T> abs, softplus, silu;
  GradientLoop<T> abs_gradient, softplus_gradient, silu_gradient;  // of x
  // y = x^exponent, dx = dy · exponent · x^(exponent − 1)
  void (*pow)(const T* x, Compute<T> exponent, T* y, int64_t n);
  void (*pow_gradient)(const T* x, const T* dy, Compute<T> exponent, T* dx, int64_t n);
  // y = max(low, min(x, high)), dx = dy where low ≤ x ≤ high, else 0
  void (*clamp)(const T* x, Compute<T> low, Compute<T> high, T* y, int64_t n);
  void (*clamp_gradient)(const T* x, const T* dy, Compute<T> low, Compute<T> high, T* dx, int64_t n);
  // y = c != 0 ? a : b, with steps as BinaryLoop has them
  void (*select)(const uint8_t* c, int64_t c_step, const T* a, int64_t a_step, const T* b, int64_t b_step,
                 T* y, int64_t n);
};

// The table for the instruction set in use. T: float, double or bfloat16.
template <class T>
const ElementwiseKernels<T>& elementwise_kernels();

}  // namespace bertie
