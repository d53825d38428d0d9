#include "bertie/ops/elementwise.h"

#include <algorithm>

#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/elementwise.h"

namespace bertie {
namespace {

constexpr int64_t grain = 1 << 15;  // elements per task

template <class T>
using BinaryKernel = BinaryLoop<T> ElementwiseKernels<T>::*;

// y = a ∘ b, broadcast: row by row of the result, whose last axes are merged as far as neither operand
// repeats there.
template <class T>
Array broadcast_loop(const char* op, BinaryKernel<T> kernel, const Array& a, const Array& b) {
  BinaryLoop<T> loop = elementwise_kernels<T>().*kernel;
  Shape shape = broadcast(op, a.shape(), b.shape());
  Array y = Array::empty(shape, a.dtype());
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.mutable_data<T>();
  auto extent = [&](const Array& x, int axis) {
    int own = axis - (shape.rank() - x.shape().rank());
    return own < 0 ? 1 : x.shape()[own];
  };
  // The longest run at the end along which each operand either moves with the result or stays.
  int first = shape.rank();
  int64_t width = 1;
  bool a_moves = true, b_moves = true;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    bool a_full = extent(a, axis) == shape[axis], b_full = extent(b, axis) == shape[axis];
    if (shape[axis] != 1 && width > 1 && (a_full != a_moves || b_full != b_moves)) break;
    if (shape[axis] != 1) {
      a_moves = a_full;
      b_moves = b_full;
    }
    width *= shape[axis];
    first = axis;
  }
  if (y.size() == 0) return y;
  int64_t rows = y.size() / width;
  if (rows == 1) {  // one long row: cut it
    parallel_ranges(width, grain, [&](int64_t begin, int64_t end) {
      loop(pa + (a_moves ? begin : 0), a_moves, pb + (b_moves ? begin : 0), b_moves, py + begin, end - begin);
    });
    return y;
  }
  auto offset = [&](const Array& x, int64_t row, bool moves) {
    int64_t rest = row, result = 0, stride = moves ? width : 1;
    for (int axis = first - 1; axis >= 0; --axis) {
      int64_t own = extent(x, axis);
      if (own != 1) result += rest % shape[axis] * stride;
      rest /= shape[axis];
      stride *= own;
    }
    return result;
  };
  parallel_ranges(rows, std::max<int64_t>(1, grain / width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      loop(pa + offset(a, row, a_moves), a_moves, pb + offset(b, row, b_moves), b_moves, py + row * width,
           width);
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
Array scaled(const Array& x, T factor, T shift, Array y) {
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  parallel_ranges(x.size(), grain, [&](int64_t begin, int64_t end) {
    elementwise_kernels<T>().scale_and_shift(in + begin, factor, shift, out + begin, end - begin);
  });
  return y;
}

template <class T>
using UnaryKernel = UnaryLoop<T> ElementwiseKernels<T>::*;
template <class T>
using GradientKernel = GradientLoop<T> ElementwiseKernels<T>::*;

enum class Saves { x, y };

template <class T>
Tensor unary_in(const char* op, const Tensor& x, UnaryKernel<T> kernel, GradientKernel<T> gradient,
                Saves saves) {
  Array y = Array::empty(x.shape(), x.dtype());
  const T* in = x.array().data<T>();
  T* out = y.mutable_data<T>();
  UnaryLoop<T> loop = elementwise_kernels<T>().*kernel;
  parallel_ranges(y.size(), grain,
                  [&](int64_t begin, int64_t end) { loop(in + begin, out + begin, end - begin); });
  Array saved = save_if(x.requires_grad(), saves == Saves::x ? x.array() : y);
  return record(op, y, {x}, [saved, gradient](Array dy, const Needs&) -> Gradients {
    Array dx = writable(dy, dy.unique());
    const T *pg = dy.data<T>(), *ps = saved.template data<T>();
    T* out = dx.mutable_data<T>();
    GradientLoop<T> loop = elementwise_kernels<T>().*gradient;
    parallel_ranges(dx.size(), grain, [&](int64_t begin, int64_t end) {
      loop(ps + begin, pg + begin, out + begin, end - begin);
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
    Array y = scaled<T>(x.array(), static_cast<T>(factor), static_cast<T>(shift),
                        Array::empty(x.shape(), x.dtype()));
    return record("scale", y, {x}, [factor](Array dy, const Needs&) -> Gradients {
      return {scaled<T>(dy, static_cast<T>(factor), 0, writable(dy, dy.unique()))};
    });
  });
}

Tensor negate(const Tensor& x) { return scale(x, -1); }

// One line per function: its loop, its gradient's loop, and what that needs.
#define BERTIE_UNARY(function, saves)                                         \
  Tensor function(const Tensor& x) {                                          \
    BERTIE_CHECK(static_cast<bool>(x), #function, "x has no value");          \
    return dispatch(#function, x.dtype(), [&](auto zero) {                    \
      using T = decltype(zero);                                               \
      return unary_in<T>(#function, x, &ElementwiseKernels<T>::function,      \
                         &ElementwiseKernels<T>::function##_gradient, saves); \
    });                                                                       \
  }
BERTIE_UNARY(exp, Saves::y)
BERTIE_UNARY(log, Saves::x)
BERTIE_UNARY(sqrt, Saves::y)
BERTIE_UNARY(tanh, Saves::y)
BERTIE_UNARY(sigmoid, Saves::y)
BERTIE_UNARY(relu, Saves::y)
BERTIE_UNARY(gelu, Saves::x)
BERTIE_UNARY(gelu_tanh, Saves::x)
#undef BERTIE_UNARY

}  // namespace bertie
