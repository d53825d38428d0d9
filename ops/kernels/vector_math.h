// exp, log, erf's relatives and tanh as branch-free code that the compiler vectorizes. For *.kernel.cpp files
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
  float power;  // 2ⁿ for −126 ≤ n ≤ 127, 0 for −127, ∞ for 128
  float expm1_r;
};
inline Exponent split_exponent(float x, float rest = -0.0f) {  // adding −0 is free
  constexpr float log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  // Adding 1.5 · 2²³ + 127 leaves the nearest integer + 127 in the low bits: where the exponent's bits begin.
  constexpr float round = 12583039.0f;
  float shifted = x * log2_e + round;
  int32_t bits = to_bits(shifted);
  float whole = shifted - round;
  float r = (x - whole * ln2_high) - whole * ln2_low + rest;
  float q = 0.0013946554390713573f;
  q = q * r + 0.008366644382476807f;
  q = q * r + 0.04166628047823906f;
  q = q * r + 0.16666541993618011f;
  q = q * r + 0.5f;
  return {bits - to_bits(round), from_bits(static_cast<int32_t>(static_cast<uint32_t>(bits) << 23)),
          r + r * r * q};
}

// exp(x). Beyond these bounds the result is 0 or ∞, and n stays where it can be represented; NaN passes both
// comparisons.
inline float exponential(float x) {
  float bounded = x < -104.0f ? -104.0f : x;
  bounded = bounded > 89.0f ? 89.0f : bounded;
  Exponent e = split_exponent(bounded);
  int32_t half = e.n >> 1;  // 2ⁿ in two factors, so that denormal results come out right
  return (1.0f + e.expm1_r) * power_of_two(half) * power_of_two(e.n - half);
}

// exp(x) for x ≤ 88 where denormal results may be 0, as in sums with larger terms; half the instructions.
inline float exponential_or_zero(float x) {
  Exponent e = split_exponent(x < -88.0f ? -88.0f : x);
  return e.power + e.power * e.expm1_r;
}

// 1 / (1 + exp(−x)); where exp(−x) overflows, 0.
inline float logistic(float x) {
  float minus = x < -88.8f ? 88.8f : -x;
  Exponent e = split_exponent(minus < -88.0f ? -88.0f : minus);
  return 1.0f / (1.0f + (1.0f + e.expm1_r) * e.power);
}

// (e − 1) / (e + 1) with e = exp(2x), on −|x| so that nothing overflows; exp(2x) − 1 = 2ⁿ expm1(r) + (2ⁿ − 1)
// keeps small arguments exact.
inline float hyperbolic_tangent(float x) {
  float twice = -2.0f * __builtin_fabsf(x);
  twice = twice < -30.0f ? -30.0f : twice;
  Exponent e = split_exponent(twice);
  float expm1 = e.power * e.expm1_r + (e.power - 1.0f);
  float magnitude = -expm1 / (expm1 + 2.0f);
  return x < 0.0f ? -magnitude : magnitude;
}

// Of m = min(|x|, 13.27), from where on all is 0 in f32: the bell exp(−m²/2) and the tail 1/2 erfc(m/√2) =
// Φ(−m), with Φ the normal distribution function. The tail is the bell times w P(w − 9/16) with w = 1 / (1 +
// 0.35 m) and P a minimax polynomial on m ≤ 15 (the form is that of Hastings, 1955). An error in m² is
// multiplied by m²/2 in the tail, so m² is the sum of two floats.
template <class T>
struct Normal {
  T magnitude, bell, tail;
};
inline Normal<float> normal(float x) {
  float m = __builtin_fabsf(x);
  m = m > 13.27f ? 13.27f : m;
  float w = 1.0f / (1.0f + 0.35f * m), u = w - 0.5625f;
  float p = -0.0291638002f;
  p = p * u + 0.0128231067f;
  p = p * u + 0.05296335f;
  p = p * u + -0.0377302915f;
  p = p * u + -0.0964930207f;
  p = p * u + 0.0594716743f;
  p = p * u + 0.297704339f;
  p = p * u + 0.379416674f;
  p = p * u + 0.275810868f;
#ifdef __FMA__
  float high = m * m, low = __builtin_fmaf(m, m, -high);
#else
  float h = from_bits(to_bits(m) & ~0xFFF), high = h * h, low = (m - h) * (m + h);  // h · h is exact
#endif
  Exponent e = split_exponent(-0.5f * high, -0.5f * low);
  float bell = e.power + e.power * e.expm1_r;
  return {m, bell, bell * (w * p)};
}

// ln x = k ln 2 + ln(1 + f) with f in √½ − 1 … √2 − 1, and ln(1 + f) = f − f²/2 + f³ R(f), R a minimax
// polynomial.
inline float logarithm(float x) {
  constexpr float smallest = 1.17549435e-38f, infinity = __builtin_inff();
  float scaled = x < smallest ? x * 33554432.0f : x;  // a denormal times 2²⁵
  int32_t bits = to_bits(scaled) - 0x3F3504F3;        // √½ becomes 0
  float k = static_cast<float>(bits >> 23) - (x < smallest ? 25.0f : 0.0f);
  float f = from_bits((bits & 0x7FFFFF) + 0x3F3504F3) - 1.0f;
  float r = -0.0763449669f;
  r = r * f + 0.127615765f;
  r = r * f + -0.131601825f;
  r = r * f + 0.142017573f;
  r = r * f + -0.166233569f;
  r = r * f + 0.200012267f;
  r = r * f + -0.250008196f;
  r = r * f + 0.333333313f;
  float square = f * f;
  float y = k * 0.693359375f + (f + (square * (f * r - 0.5f) + k * -2.12194440e-4f));
  y = x < infinity ? y : x;  // ∞ and NaN
  y = x > 0.0f ? y : (x == 0.0f ? -infinity : __builtin_nanf(""));
  return y;
}

// ln(1 + u) for 0 ≤ u ≤ 1: what rounding 1 + u lost is given back at first order, so that a small u keeps its
// digits.
inline float logarithm_1p(float u) {
  float w = 1.0f + u;
  return logarithm(w) + (u - (w - 1.0f)) / w;
}

inline double exponential(double x) { return ::exp(x); }
inline double exponential_or_zero(double x) { return ::exp(x); }
inline double logistic(double x) { return 1 / (1 + ::exp(-x)); }
inline double hyperbolic_tangent(double x) { return ::tanh(x); }
inline Normal<double> normal(double x) {
  double m = x < 0 ? -x : x;
  m = m > 40 ? 40 : m;
  return {m, ::exp(-0.5 * m * m), 0.5 * ::erfc(m * M_SQRT1_2)};
}
inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }
inline double logarithm(double x) { return ::log(x); }
inline double logarithm_1p(double u) { return ::log1p(u); }

// Fetches n elements that are needed soon, where a loop over rows computes too long on one to run ahead
// itself.
template <class T>
inline void prefetch(const T* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / sizeof(T)) __builtin_prefetch(x + i);
}

// Σ f(i) over i = 0 … n-1 in `lanes` partial sums, which are then added pairwise: a fixed order that
// vectorizes.
constexpr int lanes = 32;
template <class T, int n, class F>
inline T pairwise(const T (&partial)[n], F f) {
  typedef T Vector __attribute__((vector_size(16)));  // which every instruction set has
  constexpr int per_vector = sizeof(Vector) / sizeof(T), vectors = n / per_vector;
  Vector v[vectors];
  for (int i = 0; i < vectors; ++i) __builtin_memcpy(&v[i], partial + per_vector * i, sizeof(Vector));
  for (int width = vectors / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] = f(v[i], v[i + width]);
  if constexpr (per_vector == 4) return f(f(v[0][0], v[0][2]), f(v[0][1], v[0][3]));
  return f(v[0][0], v[0][1]);
}
struct Plus {
  template <class T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
template <class T, class F>
inline T sum_over(int64_t n, F f) {
  T partial[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += f(i + lane);
  for (int lane = 0; i < n; ++i, ++lane) partial[lane] += f(i);
  return pairwise(partial, Plus());
}

}  // namespace
}  // namespace bertie::BERTIE_ISA_NAMESPACE
