#include "bertie/ops/matmul.h"

#include <algorithm>

#include "bertie/autograd/threads.h"
#include "bertie/ops/column_sum.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/kernels/elementwise.h"

namespace bertie {
namespace {

// Within this file matrices come as [batch, rows, columns]; a batch of one serves every matrix of the other
// factor.
struct Operand {
  const Array& array;
  bool transposed;
};

// op(x) · op(y) for each matrix of the batch → [batch, M, N], in `type` or into `place`; or, with `add_up`,
// their sum in order → [1, M, N].
struct Wanted {
  DType type;  // the factors', or what they are computed in
  bool add_up = false;
  Array place = {};
};

template <class T, class R>
void multiply(const Operand& x, const Operand& y, bool add_up, Array& result) {
  const Shape &X = x.array.shape(), &Y = y.array.shape();
  auto factor = [](const Operand& operand) {
    const Shape& shape = operand.array.shape();
    return Factor<T>{operand.array.data<T>(), shape[2], operand.transposed,
                     shape[0] == 1 ? 0 : shape[1] * shape[2]};
  };
  Product<T, R> p{.M = result.shape()[1], .N = result.shape()[2], .K = X[x.transposed ? 1 : 2]};
  p.a = factor(x);
  p.b = factor(y);
  p.c = result.mutable_data<R>();
  p.c_stride = p.N;
  p.c_batch_stride = p.M * p.N;
  int64_t batch = X[0] == 1 ? Y[0] : X[0];
  if (!add_up) {
    p.batch = batch;
    return gemm(p);
  }
  p.beta = 1;
  for (int64_t i = 0; i < batch; ++i, p.a.data += p.a.batch_stride, p.b.data += p.b.batch_stride) gemm(p);
}

Array product(const Operand& x, const Operand& y, const Wanted& wanted) {
  const Shape &X = x.array.shape(), &Y = y.array.shape();
  int64_t M = X[x.transposed ? 2 : 1], N = Y[y.transposed ? 1 : 2];
  if (wanted.add_up) {
    Array sum = Array::zeros({1, M, N}, compute_type(wanted.type));
    dispatch("matmul", x.array.dtype(),
             [&](auto zero) { multiply<decltype(zero), Compute<decltype(zero)>>(x, y, true, sum); });
    return sum.dtype() == wanted.type ? sum : sum.cast(wanted.type);
  }
  Shape shape{X[0] == 1 ? Y[0] : X[0], M, N};
  Array result = wanted.place ? wanted.place.reshape(shape) : Array::empty(shape, wanted.type);
  dispatch("matmul", x.array.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (result.dtype() == x.array.dtype())
      multiply<T, T>(x, y, false, result);
    else
      multiply<T, Compute<T>>(x, y, false, result);
  });
  return result;
}

constexpr int64_t grain = 1 << 14;  // elements per task of a loop

// f(x), in new memory unless it is x itself
Array value_of(InputFunction f, const Array& x) {
  if (f == InputFunction::identity) return x;
  Array y = Array::empty(x.shape(), x.dtype());
  dispatch("linear", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const ElementwiseKernels<T>& kernels = elementwise_kernels<T>();
    UnaryLoop<T> loop = f == InputFunction::gelu ? kernels.gelu : kernels.gelu_tanh;
    const T* in = x.data<T>();
    T* out = y.mutable_data<T>();
    parallel_ranges(x.size(), grain,
                    [&](int64_t begin, int64_t end) { loop(in + begin, out + begin, end - begin); });
  });
  return y;
}

// f(x), where possible in x's memory; d becomes d ∘ f'(x).
Array value_and_gradient(InputFunction f, Array x, Array& d) {
  return dispatch("linear", d.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const ElementwiseKernels<T>& kernels = elementwise_kernels<T>();
    auto loop = f == InputFunction::gelu ? kernels.gelu_and_gradient : kernels.gelu_tanh_and_gradient;
    const T* in = x.data<T>();
    Array y = x.unique() ? x.take_memory() : Array::empty(x.shape(), x.dtype());
    T *out = y.mutable_data<T>(), *slope = d.mutable_data<T>();
    parallel_ranges(y.size(), grain, [&](int64_t begin, int64_t end) {
      loop(in + begin, slope + begin, out + begin, slope + begin, end - begin);
    });
    return y;
  });
}

// The product of all extents but the last `count`.
int64_t leading(const Shape& shape, int count) { return Shape(shape.begin(), shape.rank() - count).size(); }

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  BERTIE_CHECK(a && b, "matmul", "needs two tensors with values");
  const Shape &A = a.shape(), &B = b.shape();
  bool ta = options.transpose_a, tb = options.transpose_b;
  BERTIE_CHECK(a.dtype() == b.dtype(), "matmul", "element types must agree: a is {}, b is {}",
               name(a.dtype()), name(b.dtype()));
  BERTIE_CHECK(A.rank() >= 2 && B.rank() >= 2, "matmul", "needs at least two axes: a is {}, b is {}", A, B);
  BERTIE_CHECK(A[ta ? -2 : -1] == B[tb ? -1 : -2], "matmul",
               "inner dimensions must agree: a is {}{}, b is {}{}", A, ta ? " transposed" : "", B,
               tb ? " transposed" : "");
  bool shared = B.rank() == 2;
  BERTIE_CHECK(shared || (A.rank() == B.rank() && std::equal(A.begin(), A.end() - 2, B.begin())), "matmul",
               "leading axes must agree, or b has none: a is {}, b is {}", A, B);
  std::vector<int64_t> extents(A.begin(), A.end() - 2);
  extents.insert(extents.end(), {A[ta ? -1 : -2], B[tb ? -2 : -1]});
  Shape shape(extents.data(), A.rank(), "matmul");

  // Matrices that share b are one tall matrix, unless they are transposed.
  bool tall = shared && !ta;
  auto flat = [tall](const Array& x) {
    const Shape& s = x.shape();
    return tall ? x.reshape({1, leading(s, 1), s[-1]}) : x.reshape({leading(s, 2), s[-2], s[-1]});
  };
  Array x = flat(a.array()), y = b.array().reshape({leading(B, 2), B[-2], B[-1]});
  Array result = product({x, ta}, {y, tb}, {x.dtype()}).reshape(shape);
  // da = dy op(b)ᵀ or, of a transposed a, its transpose; db = op(a)ᵀ dy likewise.
  return record(
      "matmul", result, {a, b},
      [=, A = A, B = B, x = save_if(b.requires_grad(), x), y = save_if(a.requires_grad(), y)](
          Array dy, const Needs& needs) -> Gradients {
        Array da, db, d = flat(dy);
        Wanted each{d.dtype()}, total{d.dtype(), shared && !tall};
        if (needs[0])
          da = (ta ? product({y, tb}, {d, true}, each) : product({d, false}, {y, !tb}, each)).reshape(A);
        if (needs[1])
          db = (tb ? product({d, true}, {x, ta}, total) : product({x, !ta}, {d, false}, total)).reshape(B);
        return {da, db};
      });
}

Tensor linear(const Tensor& x, const Tensor& W, const Tensor& b, InputFunction f) {
  BERTIE_CHECK(x && W, "linear", "needs an input and a weight with values");
  DType type = x.dtype(), parameters = compute_type(type);
  BERTIE_CHECK(W.dtype() == parameters && (!b || b.dtype() == parameters), "linear",
               "W and b must be {} where x is {}: W is {}, b is {}", name(parameters), name(type),
               name(W.dtype()), b ? name(b.dtype()) : "none");
  BERTIE_CHECK(W.shape().rank() == 2, "linear", "W must be [out, in], got {}", W.shape());
  BERTIE_CHECK(x.shape().rank() >= 1 && x.shape()[-1] == W.shape()[1], "linear",
               "x must be [..., in]: x is {}, W is {}", x.shape(), W.shape());
  BERTIE_CHECK(!b || b.shape() == Shape{W.shape()[0]}, "linear", "b must be [out]: b is {}, W is {}",
               b ? b.shape() : Shape(), W.shape());
  int64_t T = leading(x.shape(), 1), in = W.shape()[1], out = W.shape()[0];
  Shape shape = x.shape().with(-1, out);
  Array w = type == parameters ? W.array() : W.rounded(), bias = b ? b.array() : Array();
  auto forward = [=](const Array& x) {
    Array y = Array::empty(shape, type), fx = value_of(f, x);
    dispatch("linear", type, [&](auto zero) {
      using Number = decltype(zero);
      Product<Number> p{.M = T, .N = out, .K = in};
      p.a = {fx.data<Number>(), in};
      p.b = {w.data<Number>(), in, true};
      p.c = y.mutable_data<Number>();
      p.c_stride = out;
      if (bias) p.bias = bias.data<Compute<Number>>();
      gemm(p);
    });
    return y;
  };

  Array weight = w.reshape({1, out, in});
  std::vector<Tensor> inputs{x, W};
  if (b) inputs.push_back(b);
  bool keep_x = W.requires_grad() || (f != InputFunction::identity && x.requires_grad());
  // dx = (dy W) ∘ f'(x), dW = dyᵀ f(x), db = Σ over the rows of dy
  return record(
      "linear", forward(x.array()), inputs,
      [=, X = x.shape(), saved = keep_x ? x.saved() : Saved(), has_bias = static_cast<bool>(b),
       weight = save_if(x.requires_grad(), weight)](Array dy, const Needs& needs) mutable -> Gradients {
        Array x = saved.take();  // first: what computes it needs memory that the gradient then takes
        Array d = dy.reshape({1, T, out});
        Gradients gradients(has_bias ? 3 : 2);
        if (needs[0]) gradients[0] = product({d, false}, {weight, false}, {type}).reshape(X);
        Array fx;
        if (f != InputFunction::identity && needs[0])
          fx = value_and_gradient(f, std::move(x), gradients[0].values);
        else if (needs[1])
          fx = value_of(f, x);
        if (needs[1]) {
          Array rows = fx.reshape({1, T, in});
          gradients[1] =
              product({d, true}, {rows, false}, {parameters, false, needs.place(1)}).reshape({out, in});
        }
        if (has_bias && needs[2]) gradients[2] = column_sum(d.reshape({T, out}));
        return gradients;
      },
      [forward, saved = x.saved()] { return forward(saved.array()); });
}

}  // namespace bertie
