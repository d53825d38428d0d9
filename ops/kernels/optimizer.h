// The inner loops of the optimizers.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"

namespace bertie {

struct AdamStep {
  double learning_rate, gradient_scale, weight_decay, beta1, beta2, epsilon;
  double correction1, correction2;  // 1 − β₁ᵗ, 1 − β₂ᵗ
};

template <class T>
struct OptimizerKernels {
  // θ [n], g [n] and, where momentum isn't 0, v [n]
  void (*sgd)(T* parameter, const T* gradient, T* velocity, int64_t n, double learning_rate,
              double gradient_scale, double momentum);
  // θ, g, m, v [n] and, where it isn't null, `rounded` [n], which gets the new θ. Where g² overflows, θ
  // becomes NaN.
  void (*adam)(T* parameter, const T* gradient, T* first_moment, T* second_moment, bfloat16* rounded,
               int64_t n, const AdamStep& step);
  // m ← μ m + (1 − μ) s g, and into `direction` μ m + (1 − μ) s g, with s the gradient's scale   [n] each
  void (*muon_direction)(T* momentum, const T* gradient, T* direction, int64_t n, double gradient_scale,
                         double mu);
  // θ ← kept · θ − rate · d   [n] each; `rounded` as above
  void (*muon_step)(T* parameter, const T* direction, bfloat16* rounded, int64_t n, double kept, double rate);
};

// The table for the instruction set in use. T: float, double.
template <class T>
const OptimizerKernels<T>& optimizer_kernels();

}  // namespace bertie
