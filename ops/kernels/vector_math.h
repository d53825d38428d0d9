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

// x + rest = n ln 2 + r, for a rest much smaller than 1, with |r| ≤ ln 2 / 2, and eʳ = 1 + r + r² Q(r). ln 2
// is split into a part of few bits, whose multiples are exact, and the rest (Cody & Waite, 1980). Q is a
// minimax polynomial.
struct Exponent {
  int32_t n;
  float expm1_r;
};
inline Exponent split_exponent(float x, float rest = 0.0f) {
  constexpr float log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  constexpr float round = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
  float shifted = x * log2_e + round;
  int32_t n = to_bits(shifted) - to_bits(round);
  float whole = shifted - round;
  float r = (x - whole * ln2_high) - whole * ln2_low + rest;
  float q = 0.0013946554390713573f;
  q = q * r + 0.008366644382476807f;
  q = q * r + 0.04166628047823906f;
  q = q * r + 0.16666541993618011f;
  q = q * r + 0.5f;
  return {n, r + r * r * q};
}

// exp(x + rest). Beyond these bounds the result is 0 or ∞, and n stays where it can be represented; NaN
// passes both comparisons.
inline float exponential(float x, float rest = 0.0f) {
  float bounded = x < -104.0f ? -104.0f : x;
  bounded = bounded > 89.0f ? 89.0f : bounded;
  Exponent e = split_exponent(bounded, rest);
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
// P(w − 9/16) with w = 1 / (1 + 0.35 |x|) and P a minimax polynomial on |x| ≤ 15 (the form is that of
// Hastings, 1955); further out all is 0. An error in x² is multiplied by x²/2 in the tail, so x² = h² + (x −
// h)(x + h) with h of 12 bits, whose square is exact.
struct Normal {
  float bell, distribution;
};
inline Normal normal(float x) {
  float magnitude = x < 0.0f ? -x : x;
  magnitude = magnitude > 40.0f ? 40.0f : magnitude;
  float w = 1.0f / (1.0f + 0.35f * magnitude), u = w - 0.5625f;
  float p = -0.0291638002f;
  p = p * u + 0.0128231067f;
  p = p * u + 0.05296335f;
  p = p * u + -0.0377302915f;
  p = p * u + -0.0964930207f;
  p = p * u + 0.0594716743f;
  p = p * u + 0.297704339f;
  p = p * u + 0.379416674f;
  p = p * u + 0.275810868f;
  float h = from_bits(to_bits(magnitude) & ~0xFFF);
  float bell = exponential(-0.5f * h * h, -0.5f * (magnitude - h) * (magnitude + h));
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
