// Operations on each element. f32 or f64; the operands of one operation have the same type.
#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// a ∘ b with NumPy's broadcasting: shapes are aligned at the last axis, and an extent of 1 repeats. Throws on
// shapes that don't fit and on different types.
Tensor add(const Tensor& a, const Tensor& b);
Tensor subtract(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor divide(const Tensor& a, const Tensor& b);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return subtract(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return multiply(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return divide(a, b); }

// x · factor + shift
Tensor scale(const Tensor& x, double factor, double shift = 0);

inline Tensor operator+(const Tensor& x, double shift) { return scale(x, 1, shift); }
inline Tensor operator-(const Tensor& x, double shift) { return scale(x, 1, -shift); }
inline Tensor operator*(const Tensor& x, double factor) { return scale(x, factor); }
inline Tensor operator/(const Tensor& x, double divisor) { return scale(x, 1 / divisor); }

Tensor negate(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);   // natural; −∞ of 0, NaN of negative numbers
Tensor sqrt(const Tensor& x);  // NaN of negative numbers
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);  // 1 / (1 + exp(−x))
Tensor relu(const Tensor& x);     // max(x, 0); the gradient at 0 is 0
// x Φ(x) with the normal distribution function Φ (Hendrycks & Gimpel, 2016), and its approximation
// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), which configurations call gelu_new.
Tensor gelu(const Tensor& x);
Tensor gelu_tanh(const Tensor& x);

}  // namespace bertie
