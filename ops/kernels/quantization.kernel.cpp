// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/quantization.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

struct Larger {
  template <class T>
  T operator()(T a, T b) const {
    return b > a ? b : a;
  }
};

// The largest f(i) over i = 0 … n-1, at least `least`; NaN is left out.
template <class F>
float largest_of(int64_t n, float least, F f) {
  float largest[lanes];
  for (int lane = 0; lane < lanes; ++lane) largest[lane] = least;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) largest[lane] = Larger()(largest[lane], f(i + lane));
  for (int lane = 0; i < n; ++i, ++lane) largest[lane] = Larger()(largest[lane], f(i));
  return pairwise(largest, Larger());
}

bool all_finite(const float* x, int64_t n) {
  return sum_over<float>(n, [=](int64_t i) { return x[i] * 0.0f; }) == 0.0f;
}

ByteRow to_bytes(const float* x, uint8_t* q, int64_t n) {
  constexpr float infinity = __builtin_inff();
  if (n == 0) return {0.0f, 0.0f};
  float high = largest_of(n, -infinity, [=](int64_t i) { return x[i]; });
  float low = -largest_of(n, -infinity, [=](int64_t i) { return -x[i]; });
  float range = high - low;
  if (!(range < infinity) || !all_finite(x, n)) {
    __builtin_memset(q, 0, n);
    return {0.0f, __builtin_nanf("")};
  }
  float factor = range > 0.0f ? 255.0f / range : 0.0f;
  factor = factor < infinity ? factor : 0.0f;  // of a range that is denormal
  for (int64_t i = 0; i < n; ++i) {
    int32_t nearest = static_cast<int32_t>((x[i] - low) * factor + 0.5f);
    q[i] = static_cast<uint8_t>(nearest < 255 ? nearest : 255);
  }
  return {low, range * (1.0f / 255.0f)};
}

float to_int8(const float* x, int8_t* q, int64_t n) {
  constexpr float infinity = __builtin_inff();
  float largest = largest_of(n, 0.0f, [=](int64_t i) { return __builtin_fabsf(x[i]); });
  if (!all_finite(x, n)) {
    __builtin_memset(q, 0, n);
    return __builtin_nanf("");
  }
  float factor = largest > 0.0f ? 127.0f / largest : 0.0f;
  factor = factor < infinity ? factor : 0.0f;
  // Shifted to what is positive, so that cutting off rounds to the nearest.
  for (int64_t i = 0; i < n; ++i)
    q[i] = static_cast<int8_t>(static_cast<int32_t>(x[i] * factor + 127.5f) - 127);
  return largest * (1.0f / 127.0f);
}

void from_sums(const int32_t* sums, ByteRow x, const float* scale, const float* totals, const float* bias,
               float* y, int64_t n) {
  if (bias)
    for (int64_t i = 0; i < n; ++i)
      y[i] = scale[i] * (x.step * static_cast<float>(sums[i]) + x.low * totals[i]) + bias[i];
  else
    for (int64_t i = 0; i < n; ++i)
      y[i] = scale[i] * (x.step * static_cast<float>(sums[i]) + x.low * totals[i]);
}

}  // namespace

extern const QuantizationKernels quantization;
const QuantizationKernels quantization = {.to_bytes = to_bytes, .to_int8 = to_int8, .from_sums = from_sums};

}  // namespace bertie::BERTIE_ISA_NAMESPACE
