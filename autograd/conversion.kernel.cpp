// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/autograd/conversion_table.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class From, class To>
void convert(const From* from, To* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

template <class T>
void store_scaled(const Compute<T>* from, Compute<T> factor, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i] * factor;
}

template <class T>
void store_sum(const Compute<T>* a, const Compute<T>* b, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = a[i] + b[i];
}

template <class T>
constexpr ConversionKernels<T> table() {
  return {.load = convert<T, Compute<T>>,
          .store = convert<Compute<T>, T>,
          .store_scaled = store_scaled<T>,
          .store_sum = store_sum<T>};
}

}  // namespace

extern const ConversionKernels<float> conversion_f32;
extern const ConversionKernels<double> conversion_f64;
extern const ConversionKernels<bfloat16> conversion_bf16;
const ConversionKernels<float> conversion_f32 = table<float>();
const ConversionKernels<double> conversion_f64 = table<double>();
const ConversionKernels<bfloat16> conversion_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
