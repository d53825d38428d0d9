#include "bertie/ops/elementwise.h"

#include <algorithm>
#include <array>

#include "bertie/autograd/threads.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/kernels/elementwise.h"

namespace bertie {
namespace {

constexpr int64_t grain = 1 << 15;  // elements per task

// Calls run(offsets, moves, begin, count) for rows of a result of `shape`, its elements begin … begin +
// count-1: operand i's begin at offsets[i], and its next ones follow where moves[i], else the first repeats.
// A row is as many of the last axes as no operand starts or stops repeating in.
template <size_t n, class Run>
void broadcast_rows(const Shape& shape, const std::array<Shape, n>& operands, Run run) {
  auto extent = [&](size_t i, int axis) {
    int own = axis - (shape.rank() - operands[i].rank());
    return own < 0 ? 1 : operands[i][own];
  };
  int first = shape.rank();
  int64_t width = 1;
  std::array<bool, n> moves;
  moves.fill(true);
  for (int axis = shape.rank() - 1; axis >= 0; --axis, --first) {
    if (shape[axis] == 1) continue;
    std::array<bool, n> full;
    for (size_t i = 0; i < n; ++i) full[i] = extent(i, axis) == shape[axis];
    if (width > 1 && full != moves) break;
    moves = full;
    width *= shape[axis];
  }
  if (shape.size() == 0) return;
  int64_t rows = shape.size() / width;
  if (rows == 1) {  // one long row: cut it
    parallel_ranges(width, grain, [&](int64_t begin, int64_t end) {
      std::array<int64_t, n> at;
      for (size_t i = 0; i < n; ++i) at[i] = moves[i] ? begin : 0;
      run(at, moves, begin, end - begin);
    });
    return;
  }
  parallel_ranges(rows, std::max<int64_t>(1, grain / width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::array<int64_t, n> at{};
      for (size_t i = 0; i < n; ++i) {
        int64_t rest = row, stride = moves[i] ? width : 1;
        for (int axis = first - 1; axis >= 0; --axis) {
          int64_t own = extent(i, axis);
          if (own != 1) at[i] += rest % shape[axis] * stride;
          rest /= shape[axis];
          stride *= own;
        }
      }
      run(at, moves, row * width, width);
    }
  });
}

template <class T>
using BinaryKernel = BinaryLoop<T> ElementwiseKernels<T>::*;

// y = a ∘ b, broadcast
template <class T>
Array broadcast_loop(const char* op, BinaryKernel<T> kernel, const Array& a, const Array& b) {
  BinaryLoop<T> loop = elementwise_kernels<T>().*kernel;
  Array y = Array::empty(broadcast(op, a.shape(), b.shape()), a.dtype());
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.mutable_data<T>();
  broadcast_rows<2>(y.shape(), {a.shape(), b.shape()}, [&](auto& at, auto& moves, int64_t begin, int64_t n) {
    loop(pa + at[0], moves[0], pb + at[1], moves[1], py + begin, n);
  });
  return y;
}

// y = c ? a : b, broadcast
template <class T>
Array select(const Array& c, const Array& a, const Array& b) {
  Shape shape = broadcast("where", broadcast("where", a.shape(), b.shape()), c.shape());
  Array y = Array::empty(shape, a.dtype());
  const uint8_t* pc = static_cast<const uint8_t*>(c.bytes_begin());
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.mutable_data<T>();
  broadcast_rows<3>(shape, {c.shape(), a.shape(), b.shape()},
                    [&](auto& at, auto& moves, int64_t begin, int64_t n) {
                      elementwise_kernels<T>().select(pc + at[0], moves[0], pa + at[1], moves[1], pb + at[2],
                                                      moves[2], py + begin, n);
                    });
  return y;
}

// Calls f(typed zero) for the common type of a and b.
template <class F>
Tensor for_both(const char* op, const Tensor& a, const Tensor& b, F f) {
  BERTIE_CHECK(a && b, op, "an operand has no value");
  BERTIE_CHECK(a.dtype() == b.dtype(), op, "both must have one type: {} {} and {} {}", name(a.dtype()),
               a.shape(), name(b.dtype()), b.shape());
  return dispatch(op, a.dtype(), f);
}

// dy's own memory where nobody else holds it, else new memory of its shape.
Array writable(const Array& dy, bool sole) { return sole ? dy : Array::empty(dy.shape(), dy.dtype()); }

template <class T>
Array scaled(const Array& x, Compute<T> factor, Compute<T> shift, Array y) {
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  parallel_ranges(x.size(), grain, [&](int64_t begin, int64_t end) {
    elementwise_kernels<T>().scale_and_shift(in + begin, factor, shift, out + begin, end - begin);
  });
  return y;
}

bool are_bf16(const Tensor& a, const Tensor& b) {
  return a && b && a.dtype() == DType::bf16 && b.dtype() == DType::bf16;
}

enum class Saves { x, y, sign_of_y };

// y = f(x), by loop(x, y, n), and dx by gradient(saved, dy, dx, n).
template <class T, class Loop, class GradientLoop>
Tensor unary_in(const char* op, const Tensor& x, Saves saves, Loop loop, GradientLoop gradient) {
  Array y = Array::empty(x.shape(), x.dtype());
  const T* in = x.array().data<T>();
  T* out = y.mutable_data<T>();
  parallel_ranges(y.size(), grain,
                  [&](int64_t begin, int64_t end) { loop(in + begin, out + begin, end - begin); });
  Array saved = save_if(x.requires_grad(), saves == Saves::x ? x.array() : y);
  return record(op, y, {x}, [saved, gradient](Array dy, const Needs&) -> Gradients {
    Array dx = writable(dy, dy.unique());
    const T *pg = dy.data<T>(), *ps = saved.template data<T>();
    T* out = dx.mutable_data<T>();
    parallel_ranges(dx.size(), grain, [&](int64_t begin, int64_t end) {
      gradient(ps + begin, pg + begin, out + begin, end - begin);
    });
    return {dx};
  });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return for_both("add", a, b, [&](auto zero) {
    using T = decltype(zero);
    return record("add", broadcast_loop<T>("add", &ElementwiseKernels<T>::add, a.array(), b.array()), {a, b},
                  [](Array dy, const Needs&) -> Gradients {
                    return {dy, dy};
                  });
  });
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  return for_both("subtract", a, b, [&](auto zero) {
    using T = decltype(zero);
    Array y = broadcast_loop<T>("subtract", &ElementwiseKernels<T>::subtract, a.array(), b.array());
    return record("subtract", y, {a, b}, [](Array dy, const Needs& needs) -> Gradients {
      Array minus = needs[1] ? scaled<T>(dy, -1, 0, Array::empty(dy.shape(), dy.dtype())) : Array();
      return {dy, minus};
    });
  });
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  if (are_bf16(a, b)) return by_way_of_f32(multiply, a, b);
  return for_both("multiply", a, b, [&](auto zero) {
    using T = decltype(zero);
    constexpr BinaryKernel<T> times = &ElementwiseKernels<T>::multiply;
    return record("multiply", broadcast_loop<T>("multiply", times, a.array(), b.array()), {a, b},
                  [a = save_if(b.requires_grad(), a.array()), b = save_if(a.requires_grad(), b.array())](
                      Array dy, const Needs& needs) -> Gradients {
                    return {needs[0] ? broadcast_loop<T>("multiply", times, dy, b) : Array(),
                            needs[1] ? broadcast_loop<T>("multiply", times, dy, a) : Array()};
                  });
  });
}

// y = a / b:  da = dy / b,  db = −dy y / b
Tensor divide(const Tensor& a, const Tensor& b) {
  if (are_bf16(a, b)) return by_way_of_f32(divide, a, b);
  return for_both("divide", a, b, [&](auto zero) {
    using T = decltype(zero);
    constexpr BinaryKernel<T> over = &ElementwiseKernels<T>::divide, times = &ElementwiseKernels<T>::multiply;
    Array y = broadcast_loop<T>("divide", over, a.array(), b.array());
    return record(
        "divide", y, {a, b},
        [y = save_if(b.requires_grad(), y), b = b.array()](Array dy, const Needs& needs) -> Gradients {
          Array da = broadcast_loop<T>("divide", over, dy, b), db;
          if (needs[1]) {
            db = broadcast_loop<T>("divide", times, da, y);
            db = scaled<T>(db, -1, 0, db);
          }
          return {needs[0] ? da : Array(), db};
        });
  });
}

Tensor scale(const Tensor& x, double factor, double shift) {
  BERTIE_CHECK(static_cast<bool>(x), "scale", "x has no value");
  return dispatch("scale", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    Array y = scaled<T>(x.array(), static_cast<C>(factor), static_cast<C>(shift),
                        Array::empty(x.shape(), x.dtype()));
    return record("scale", y, {x}, [factor](Array dy, const Needs&) -> Gradients {
      return {scaled<T>(dy, static_cast<C>(factor), 0, writable(dy, dy.unique()))};
    });
  });
}

Tensor negate(const Tensor& x) { return scale(x, -1); }

Tensor operator/(double dividend, const Tensor& x) {
  check_value("divide", x);
  if (x.dtype() == DType::bf16) return by_way_of_f32([dividend](const Tensor& x) { return dividend / x; }, x);
  return divide(Array::full({}, dividend, x.dtype()), x);
}

Tensor where(const Array& condition, const Tensor& a, const Tensor& b) {
  BERTIE_CHECK(condition && condition.dtype() == DType::boolean, "where", "the condition must be booleans");
  return for_both("where", a, b, [&](auto zero) {
    using T = decltype(zero);
    Array y = select<T>(condition, a.array(), b.array());
    // Each gets dy where it was chosen and else 0, summed to its shape as that of any broadcast.
    bool save = a.requires_grad() || b.requires_grad();
    return record(
        "where", y, {a, b},
        [c = save ? condition.clone() : Array()](Array dy, const Needs& needs) -> Gradients {
          Array none = Array::zeros({}, dy.dtype());
          return {needs[0] ? select<T>(c, dy, none) : Array(), needs[1] ? select<T>(c, none, dy) : Array()};
        });
  });
}

Tensor masked_fill(const Tensor& x, const Array& mask, double value) {
  check_value("masked_fill", x);
  return where(mask, Array::full({}, value, x.dtype()), x);
}

Tensor pow(const Tensor& x, double exponent) {
  check_value("pow", x);
  return dispatch("pow", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    auto p = static_cast<Compute<T>>(exponent);
    return unary_in<T>(
        "pow", x, Saves::x, [p](const T* x, T* y, int64_t n) { elementwise_kernels<T>().pow(x, p, y, n); },
        [p](const T* x, const T* dy, T* dx, int64_t n) {
          elementwise_kernels<T>().pow_gradient(x, dy, p, dx, n);
        });
  });
}

Tensor clamp(const Tensor& x, double low, double high) {
  check_value("clamp", x);
  BERTIE_CHECK(low <= high, "clamp", "the lower bound must not be above the upper one: {} … {}", low, high);
  return dispatch("clamp", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    auto l = static_cast<Compute<T>>(low), h = static_cast<Compute<T>>(high);
    return unary_in<T>(
        "clamp", x, Saves::x,
        [l, h](const T* x, T* y, int64_t n) { elementwise_kernels<T>().clamp(x, l, h, y, n); },
        [l, h](const T* x, const T* dy, T* dx, int64_t n) {
          elementwise_kernels<T>().clamp_gradient(x, dy, l, h, dx, n);
        });
  });
}

// One line per function: its loop, its gradient's loop, and what that needs.
#define BERTIE_UNARY(function, saves)                                                      \
  Tensor function(const Tensor& x) {                                                       \
    BERTIE_CHECK(static_cast<bool>(x), #function, "x has no value");                       \
    if (saves == Saves::y && x.dtype() == DType::bf16) return by_way_of_f32(function, x);  \
    return dispatch(#function, x.dtype(), [&](auto zero) {                                 \
      using T = decltype(zero);                                                            \
      return unary_in<T>(                                                                  \
          #function, x, saves,                                                             \
          [](const T* x, T* y, int64_t n) { elementwise_kernels<T>().function(x, y, n); }, \
          [](const T* saved, const T* dy, T* dx, int64_t n) {                              \
            elementwise_kernels<T>().function##_gradient(saved, dy, dx, n);                \
          });                                                                              \
    });                                                                                    \
  }
BERTIE_UNARY(exp, Saves::y)
BERTIE_UNARY(log, Saves::x)
BERTIE_UNARY(sqrt, Saves::y)
BERTIE_UNARY(tanh, Saves::y)
BERTIE_UNARY(sigmoid, Saves::y)
BERTIE_UNARY(relu, Saves::sign_of_y)
BERTIE_UNARY(abs, Saves::x)
BERTIE_UNARY(softplus, Saves::x)
BERTIE_UNARY(silu, Saves::x)
BERTIE_UNARY(gelu, Saves::x)
BERTIE_UNARY(gelu_tanh, Saves::x)
#undef BERTIE_UNARY

}  // namespace bertie
