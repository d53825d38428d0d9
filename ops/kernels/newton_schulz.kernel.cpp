// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/newton_schulz.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class T>
void scale(T* y, const Compute<T>* x, int64_t n, double factor) {
  auto f = static_cast<Compute<T>>(factor);
  for (int64_t i = 0; i < n; ++i) y[i] = f * x[i];
}

template <class T>
void combine(T* __restrict y, const T* __restrict a, const T* __restrict b, int64_t n, double of_a,
             double of_b) {
  auto s = static_cast<Compute<T>>(of_a), t = static_cast<Compute<T>>(of_b);
  for (int64_t i = 0; i < n; ++i)
    y[i] = s * static_cast<Compute<T>>(a[i]) + t * static_cast<Compute<T>>(b[i]);
}

template <class T>
constexpr NewtonSchulzKernels<T> table() {
  return {.scale = scale<T>, .combine = combine<T>};
}

}  // namespace

extern const NewtonSchulzKernels<float> newton_schulz_f32;
extern const NewtonSchulzKernels<double> newton_schulz_f64;
extern const NewtonSchulzKernels<bfloat16> newton_schulz_bf16;
const NewtonSchulzKernels<float> newton_schulz_f32 = table<float>();
const NewtonSchulzKernels<double> newton_schulz_f64 = table<double>();
const NewtonSchulzKernels<bfloat16> newton_schulz_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
