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
inline Tensor operator+(double shift, const Tensor& x) { return scale(x, 1, shift); }
inline Tensor operator-(double minuend, const Tensor& x) { return scale(x, -1, minuend); }
inline Tensor operator*(double factor, const Tensor& x) { return scale(x, factor); }
Tensor operator/(double dividend, const Tensor& x);

Tensor negate(const Tensor& x);
inline Tensor operator-(const Tensor& x) { return negate(x); }

// a where the condition holds, else b; all three broadcast. condition: booleans. No gradient flows to what
// isn't chosen, NaN or not.
Tensor where(const Array& condition, const Tensor& a, const Tensor& b);
// x, but `value` where the mask holds, as −∞ before a softmax.
Tensor masked_fill(const Tensor& x, const Array& mask, double value);

// x^exponent, of each element. NaN of negative numbers unless the exponent is an integer; exponent 0: 1, with
// gradient 0. Squares are multiplied, other powers the C library's, one element after the other.
Tensor pow(const Tensor& x, double exponent);
// max(low, min(x, high)); the gradient is 1 within the bounds and at them (as PyTorch has it), else 0. Throws
// unless low ≤ high; either may be infinite.
Tensor clamp(const Tensor& x, double low, double high);
Tensor abs(const Tensor& x);  // the gradient at 0 is 0
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);   // natural; −∞ of 0, NaN of negative numbers
Tensor sqrt(const Tensor& x);  // NaN of negative numbers
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);   // 1 / (1 + exp(−x))
Tensor relu(const Tensor& x);      // max(x, 0); the gradient at 0 is 0
Tensor softplus(const Tensor& x);  // log(1 + exp(x)) (Dugas et al., 2001); never overflows
Tensor silu(const Tensor& x);      // x · sigmoid(x), also called swish (Hendrycks & Gimpel, 2016, section 4)
// x Φ(x) with the normal distribution function Φ (Hendrycks & Gimpel, 2016), and its approximation
// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), which configurations call gelu_new.
Tensor gelu(const Tensor& x);
Tensor gelu_tanh(const Tensor& x);

}  // namespace bertie
