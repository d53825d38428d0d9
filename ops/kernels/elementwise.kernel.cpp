// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/elementwise.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  static T apply(T a, T b) {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  static T apply(T a, T b) {
    return a * b;
  }
};
struct Divide {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};

// One loop per kind of step, so that each vectorizes.
template <class Op, class T, class C = Compute<T>>
void binary(const T* a, int64_t a_step, const T* b, int64_t b_step, T* y, int64_t n) {
  if (a_step == 1 && b_step == 1) {
    for (int64_t i = 0; i < n; ++i) y[i] = Op::template apply<C>(a[i], b[i]);
  } else if (a_step == 1) {
    C repeated = n > 0 ? b[0] : T(0);
    for (int64_t i = 0; i < n; ++i) y[i] = Op::template apply<C>(a[i], repeated);
  } else if (b_step == 1) {
    C repeated = n > 0 ? a[0] : T(0);
    for (int64_t i = 0; i < n; ++i) y[i] = Op::template apply<C>(repeated, b[i]);
  } else {
    C both = n > 0 ? Op::template apply<C>(a[0], b[0]) : C(0);
    for (int64_t i = 0; i < n; ++i) y[i] = both;
  }
}

// Each function: its value at x, and its derivative as a function of y = f(x) or of x (which, elementwise.h
// says).
struct Exp {
  template <class T>
  static T value(T x) {
    return exponential(x);
  }
  template <class T>
  static T derivative(T y) {
    return y;
  }
};
struct Log {
  template <class T>
  static T value(T x) {
    return logarithm(x);
  }
  template <class T>
  static T derivative(T x) {
    return T(1) / x;
  }
};
struct Sqrt {
  template <class T>
  static T value(T x) {
    return square_root(x);
  }
  template <class T>
  static T derivative(T y) {
    return T(0.5) / y;
  }
};
struct Tanh {
  template <class T>
  static T value(T x) {
    return hyperbolic_tangent(x);
  }
  template <class T>
  static T derivative(T y) {
    return T(1) - y * y;
  }
};
struct Sigmoid {
  template <class T>
  static T value(T x) {
    return logistic(x);
  }
  template <class T>
  static T derivative(T y) {
    return y * (T(1) - y);
  }
};
struct Relu {
  template <class T>
  static T value(T x) {
    return x < T(0) ? T(0) : x;
  }  // NaN stays
  template <class T>
  static T derivative(T y) {
    return y > T(0) ? T(1) : T(0);
  }
};
struct Abs {
  template <class T>
  static T value(T x) {
    return __builtin_fabs(x);
  }
  template <class T>
  static T derivative(T x) {
    return x > T(0) ? T(1) : (x < T(0) ? T(-1) : T(0));
  }
};
// log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)
struct Softplus {
  template <class T>
  static T value(T x) {
    return Relu::value(x) + logarithm_1p(exponential(T(-__builtin_fabs(x))));
  }
  template <class T>
  static T derivative(T x) {
    return logistic(x);
  }
};
// x s with s = sigmoid(x) and derivative s (1 + x (1 − s)). Beyond ±750 s is 0 or 1; bounding x there keeps
// ∞ · 0 out.
struct Silu {
  template <class T>
  static T value(T x) {
    T left = x < T(-750) ? T(-750) : x;
    return left * logistic(left);
  }
  template <class T>
  static T derivative(T x) {
    x = x < T(-750) ? T(-750) : x;
    x = x > T(750) ? T(750) : x;
    T s = logistic(x);
    return s * (T(1) + x * (T(1) - s));
  }
};
// x Φ(x) = max(x, 0) − |x| Φ(−|x|), with derivative Φ(x) + x φ(x), where φ(x) = bell / √(2π)
struct Gelu {
  template <class T>
  static T value(T x) {
    auto n = normal(x);
    return Relu::value(x) - n.magnitude * n.tail;
  }
  template <class T>
  static T derivative(T x) {
    auto n = normal(x);
    T left = n.tail - n.magnitude * T(0.39894228040143267794) * n.bell;  // that of −|x|
    return x < T(0) ? left : T(1) - left;
  }
};
// x/2 (1 + tanh(u)) with u = √(2/π) (x + 0.044715 x³), computed as x · sigmoid(2u), which keeps the left
// tail's digits; with s = sigmoid(2u) its derivative is s + x s (1 − s) 2u'. Beyond ±40 s is 0 or 1; bounding
// x there keeps ∞ · 0 out. NaN passes.
struct GeluTanh {
  template <class T>
  static T share(T x) {
    return logistic(T(2 * 0.79788456080286535588) * (x + T(0.044715) * x * x * x));
  }
  template <class T>
  static T value(T x) {
    T left = x < T(-40) ? T(-40) : x;
    return left * share(left);
  }
  template <class T>
  static T derivative(T x) {
    x = x < T(-40) ? T(-40) : x;
    x = x > T(40) ? T(40) : x;
    T s = share(x), slope = T(2 * 0.79788456080286535588) * (T(1) + T(3 * 0.044715) * x * x);
    return s + x * s * (T(1) - s) * slope;
  }
};

template <class F, class T>
void unary(const T* x, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = F::template value<Compute<T>>(x[i]);
}
template <class F, class T>
void gradient(const T* saved, const T* dy, T* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * F::template derivative<Compute<T>>(saved[i]);
}
template <class F, class T>
void value_and_gradient(const T* x, const T* dy, T* y, T* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    Compute<T> at = x[i];
    dx[i] = dy[i] * F::derivative(at);
    y[i] = F::value(at);
  }
}
template <class T>
void scale_and_shift(const T* x, Compute<T> factor, Compute<T> shift, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor + shift;
}

inline float power(float x, float exponent) { return ::powf(x, exponent); }
inline double power(double x, double exponent) { return ::pow(x, exponent); }

template <class T>
void pow(const T* x, Compute<T> exponent, T* y, int64_t n) {
  using C = Compute<T>;
  if (exponent == C(2)) {
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * x[i];
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = power(C(x[i]), exponent);
  }
}
template <class T>
void pow_gradient(const T* x, const T* dy, Compute<T> exponent, T* dx, int64_t n) {
  using C = Compute<T>;
  if (exponent == C(2)) {
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * C(2) * x[i];
  } else if (exponent == C(0)) {  // also where x^−1 is infinite
    for (int64_t i = 0; i < n; ++i) dx[i] = C(0);
  } else {
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * (exponent * power(C(x[i]), exponent - C(1)));
  }
}

template <class T>
void clamp(const T* x, Compute<T> low, Compute<T> high, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    Compute<T> at = x[i], above = at < low ? low : at;  // NaN stays
    y[i] = above > high ? high : above;
  }
}
template <class T>
void clamp_gradient(const T* x, const T* dy, Compute<T> low, Compute<T> high, T* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dx[i] = x[i] < low || x[i] > high ? T(0) : dy[i];
}

template <class T, bool c_moves, bool a_moves, bool b_moves>
void select(const uint8_t* c, const T* a, const T* b, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    T left = a[a_moves ? i : 0], right = b[b_moves ? i : 0];
    y[i] = c[c_moves ? i : 0] != 0 ? left : right;
  }
}
template <class T>
void select(const uint8_t* c, int64_t c_step, const T* a, int64_t a_step, const T* b, int64_t b_step, T* y,
            int64_t n) {
  using Loop = void (*)(const uint8_t*, const T*, const T*, T*, int64_t);
  constexpr Loop loops[2][2][2] = {
      {{select<T, 0, 0, 0>, select<T, 0, 0, 1>}, {select<T, 0, 1, 0>, select<T, 0, 1, 1>}},
      {{select<T, 1, 0, 0>, select<T, 1, 0, 1>}, {select<T, 1, 1, 0>, select<T, 1, 1, 1>}}};
  loops[c_step][a_step][b_step](c, a, b, y, n);
}

template <class T>
constexpr ElementwiseKernels<T> table() {
  return {.add = binary<Add, T>,
          .subtract = binary<Subtract, T>,
          .multiply = binary<Multiply, T>,
          .divide = binary<Divide, T>,
          .exp = unary<Exp, T>,
          .log = unary<Log, T>,
          .sqrt = unary<Sqrt, T>,
          .tanh = unary<Tanh, T>,
          .sigmoid = unary<Sigmoid, T>,
          .relu = unary<Relu, T>,
          .gelu = unary<Gelu, T>,
          .gelu_tanh = unary<GeluTanh, T>,
          .exp_gradient = gradient<Exp, T>,
          .sqrt_gradient = gradient<Sqrt, T>,
          .tanh_gradient = gradient<Tanh, T>,
          .sigmoid_gradient = gradient<Sigmoid, T>,
          .relu_gradient = gradient<Relu, T>,
          .log_gradient = gradient<Log, T>,
          .gelu_gradient = gradient<Gelu, T>,
          .gelu_tanh_gradient = gradient<GeluTanh, T>,
          .gelu_and_gradient = value_and_gradient<Gelu, T>,
          .gelu_tanh_and_gradient = value_and_gradient<GeluTanh, T>,
          .scale_and_shift = scale_and_shift<T>,
          .abs = unary<Abs, T>,
          .softplus = unary<Softplus, T>,
          .silu = unary<Silu, T>,
          .abs_gradient = gradient<Abs, T>,
          .softplus_gradient = gradient<Softplus, T>,
          .silu_gradient = gradient<Silu, T>,
          .pow = pow<T>,
          .pow_gradient = pow_gradient<T>,
          .clamp = clamp<T>,
          .clamp_gradient = clamp_gradient<T>,
          .select = select<T>};
}

}  // namespace

extern const ElementwiseKernels<float> elementwise_f32;
extern const ElementwiseKernels<double> elementwise_f64;
extern const ElementwiseKernels<bfloat16> elementwise_bf16;
const ElementwiseKernels<float> elementwise_f32 = table<float>();
const ElementwiseKernels<double> elementwise_f64 = table<double>();
const ElementwiseKernels<bfloat16> elementwise_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
