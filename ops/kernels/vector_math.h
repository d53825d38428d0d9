// exp, erf's relatives and tanh as branch-free code that the compiler vectorizes. For *.kernel.cpp files
// only: everything here lives in the namespace of one instruction set. In f32 the functions are polynomials,
// right to a few units in the last place; in f64, which serves proofs, they call the C library.
#pragma once
#include <math.h>
#include <stdint.h>

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

inline float from_bits(int32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
inline int32_t to_bits(float value) {
  int32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float power_of_two(int32_t n) { return from_bits((n + 127) << 23); }  // −126 ≤ n ≤ 127

// x = n ln 2 + r with |r| ≤ ln 2 / 2, and eʳ = 1 + r + r² Q(r). ln 2 is split into a part of few bits, whose
// multiples are exact, and the rest (Cody & Waite, 1980). Q is a minimax polynomial.
struct Exponent {
  int32_t n;
  float expm1_r;
};
inline Exponent split_exponent(float x) {
  constexpr float log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  constexpr float round = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
  float shifted = x * log2_e + round;
  int32_t n = to_bits(shifted) - to_bits(round);
  float whole = shifted - round;
  float r = (x - whole * ln2_high) - whole * ln2_low;
  float q = 0.0013946554390713573f;
  q = q * r + 0.008366644382476807f;
  q = q * r + 0.04166628047823906f;
  q = q * r + 0.16666541993618011f;
  q = q * r + 0.5f;
  return {n, r + r * r * q};
}

// Beyond these bounds the result is 0 or ∞, and n stays where it can be represented; NaN passes both
// comparisons.
inline float exponential(float x) {
  float bounded = x < -104.0f ? -104.0f : x;
  bounded = bounded > 89.0f ? 89.0f : bounded;
  Exponent e = split_exponent(bounded);
  int32_t half = e.n >> 1;  // 2ⁿ in two factors, so that denormal results come out right
  return (1.0f + e.expm1_r) * power_of_two(half) * power_of_two(e.n - half);
}

// (e − 1) / (e + 1) with e = exp(2x), on −|x| so that nothing overflows; exp(2x) − 1 = 2ⁿ expm1(r) + (2ⁿ − 1)
// keeps small arguments exact.
inline float hyperbolic_tangent(float x) {
  float twice = -2.0f * (x < 0.0f ? -x : x);
  twice = twice < -30.0f ? -30.0f : twice;
  Exponent e = split_exponent(twice);
  float scale = power_of_two(e.n);
  float expm1 = scale * e.expm1_r + (scale - 1.0f);
  float magnitude = -expm1 / (expm1 + 2.0f);
  return x < 0.0f ? -magnitude : magnitude;
}

// exp(−x²/2), and Φ(x), the normal distribution function: 1/2 erfc(−x/√2). The upper tail is exp(−x²/2) · w
// P(w) with w = 1 / (1 + 0.4 |x|) and P a minimax polynomial on |x| ≤ 14 (the form is that of Hastings,
// 1955).
struct Normal {
  float bell, distribution;
};
inline Normal normal(float x) {
  float magnitude = x < 0.0f ? -x : x;
  float bounded = magnitude > 14.0f ? 14.0f : magnitude;
  float w = 1.0f / (1.0f + 0.4f * bounded);
  float p = 0.03209874406456947f;
  p = p * w + -0.17618055641651154f;
  p = p * w + 0.38079822063446045f;
  p = p * w + -0.3719900846481323f;
  p = p * w + 0.11776033043861389f;
  p = p * w + -0.025898417457938194f;
  p = p * w + 0.09100638329982758f;
  p = p * w + 0.13320983946323395f;
  p = p * w + 0.15961922705173492f;
  p = p * w + 0.15957629680633545f;
  float bell = exponential(-0.5f * magnitude * magnitude);
  float tail = bell * w * p;
  return {bell, x < 0.0f ? tail : 1.0f - tail};
}

inline double exponential(double x) { return ::exp(x); }
inline double hyperbolic_tangent(double x) { return ::tanh(x); }
struct NormalF64 {
  double bell, distribution;
};
inline NormalF64 normal(double x) { return {::exp(-0.5 * x * x), 0.5 * ::erfc(-x * M_SQRT1_2)}; }

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }
inline float logarithm(float x) { return ::logf(x); }
inline double logarithm(double x) { return ::log(x); }

// Σ f(i) over i = 0 … n-1 in `lanes` partial sums, which are then added pairwise: a fixed order that
// vectorizes.
constexpr int lanes = 32;
template <class T, class F>
inline T sum_over(int64_t n, F f) {
  T partial[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += f(i + lane);
  for (int lane = 0; i < n; ++i, ++lane) partial[lane] += f(i);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  return partial[0];
}

}  // namespace
}  // namespace bertie::BERTIE_ISA_NAMESPACE
