// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/optimizer.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class T>
void sgd(T* parameter, const T* gradient, T* velocity, int64_t n, double learning_rate, double gradient_scale,
         double momentum) {
  T rate = static_cast<T>(learning_rate), scale = static_cast<T>(gradient_scale),
    mu = static_cast<T>(momentum);
  if (momentum == 0) {
    for (int64_t i = 0; i < n; ++i) parameter[i] -= rate * (gradient[i] * scale);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    velocity[i] = mu * velocity[i] + gradient[i] * scale;
    parameter[i] -= rate * velocity[i];
  }
}

template <class T, bool rounds>
void adam(T* __restrict parameter, const T* __restrict gradient, T* __restrict first_moment,
          T* __restrict second_moment, bfloat16* __restrict rounded, int64_t n, const AdamStep& step) {
  T scale = static_cast<T>(step.gradient_scale),
    decay = static_cast<T>(1 - step.learning_rate * step.weight_decay);
  T beta1 = static_cast<T>(step.beta1), rest1 = static_cast<T>(1 - step.beta1);
  T beta2 = static_cast<T>(step.beta2), rest2 = static_cast<T>(1 - step.beta2);
  T rate = static_cast<T>(step.learning_rate / step.correction1), epsilon = static_cast<T>(step.epsilon);
  T root = static_cast<T>(1 / __builtin_sqrt(step.correction2));
  for (int64_t i = 0; i < n; ++i) {
    T g = gradient[i] * scale;
    T m = beta1 * first_moment[i] + rest1 * g;
    T v = beta2 * second_moment[i] + rest2 * (g * g);
    first_moment[i] = m;
    second_moment[i] = v;
    // v − v is 0, but NaN where v overflowed: a step of m / ∞ = 0 would end this parameter's training unseen.
    T value = parameter[i] * decay - (rate * m / (square_root(v) * root + epsilon) + (v - v));
    parameter[i] = value;
    if constexpr (rounds) rounded[i] = static_cast<float>(value);
  }
}

template <class T>
void adam(T* parameter, const T* gradient, T* first_moment, T* second_moment, bfloat16* rounded, int64_t n,
          const AdamStep& step) {
  (rounded ? adam<T, true> : adam<T, false>)(parameter, gradient, first_moment, second_moment, rounded, n,
                                             step);
}

template <class T>
void muon_direction(T* __restrict momentum, const T* __restrict gradient, T* __restrict direction, int64_t n,
                    double gradient_scale, double mu) {
  T kept = static_cast<T>(mu), factor = static_cast<T>((1 - mu) * gradient_scale);
  for (int64_t i = 0; i < n; ++i) {
    T g = factor * gradient[i];
    momentum[i] = kept * momentum[i] + g;
    direction[i] = kept * momentum[i] + g;
  }
}

template <class T, bool rounds>
void muon_step(T* __restrict parameter, const T* __restrict direction, bfloat16* __restrict rounded,
               int64_t n, double kept, double rate) {
  T a = static_cast<T>(kept), b = static_cast<T>(rate);
  for (int64_t i = 0; i < n; ++i) {
    T value = a * parameter[i] - b * direction[i];
    parameter[i] = value;
    if constexpr (rounds) rounded[i] = static_cast<float>(value);
  }
}

template <class T>
void muon_step(T* parameter, const T* direction, bfloat16* rounded, int64_t n, double kept, double rate) {
  (rounded ? muon_step<T, true> : muon_step<T, false>)(parameter, direction, rounded, n, kept, rate);
}

template <class T>
constexpr OptimizerKernels<T> table() {
  return {.sgd = sgd<T>, .adam = adam<T>, .muon_direction = muon_direction<T>, .muon_step = muon_step<T>};
}

}  // namespace

extern const OptimizerKernels<float> optimizer_f32;
extern const OptimizerKernels<double> optimizer_f64;
const OptimizerKernels<float> optimizer_f32 = table<float>();
const OptimizerKernels<double> optimizer_f64 = table<double>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
