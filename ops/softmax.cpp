#include "bertie/ops/softmax.h"

#include "bertie/autograd/threads.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/kernels/softmax.h"

namespace bertie {
namespace {

template <class T>
using RowsLoop = void (*SoftmaxKernels<T>::*)(const T* x, T* y, int64_t rows, int64_t n);
template <class T>
using RowsGradient = void (*SoftmaxKernels<T>::*)(const T* y, const T* dy, T* dx, int64_t rows, int64_t n);

template <class T>
Tensor over_rows(const char* op, const Tensor& x, RowsLoop<T> loop, RowsGradient<T> gradient) {
  int64_t n = x.shape()[-1], rows = x.array().size() / n, grain = 1 + (1 << 13) / n;
  Array y = Array::empty(x.shape(), x.dtype());
  const T* in = x.array().data<T>();
  T* out = y.mutable_data<T>();
  parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    (softmax_kernels<T>().*loop)(in + begin * n, out + begin * n, end - begin, n);
  });
  return record(op, y, {x}, [y, n, rows, grain, gradient](Array dy, const Needs&) -> Gradients {
    Array dx = dy.unique() ? dy : Array::empty(dy.shape(), dy.dtype());
    const T *py = y.template data<T>(), *pdy = dy.data<T>();
    T* out = dx.mutable_data<T>();
    parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
      int64_t at = begin * n;
      (softmax_kernels<T>().*gradient)(py + at, pdy + at, out + at, end - begin, n);
    });
    return {dx};
  });
}

void check_rows(const char* op, const Tensor& x) {
  BERTIE_CHECK(x && x.shape().rank() >= 1 && x.shape()[-1] >= 1, op,
               "needs at least one element per row, got {}", x ? x.shape().str() : "no value");
}

}  // namespace

Tensor softmax(const Tensor& x) {
  check_rows("softmax", x);
  if (x.dtype() == DType::bf16) return by_way_of_f32(softmax, x);
  return dispatch("softmax", x.dtype(), [&](auto zero) {
    using Kernels = SoftmaxKernels<decltype(zero)>;
    return over_rows<decltype(zero)>("softmax", x, &Kernels::softmax, &Kernels::softmax_backward);
  });
}

Tensor log_softmax(const Tensor& x) {
  check_rows("log_softmax", x);
  if (x.dtype() == DType::bf16) return by_way_of_f32(log_softmax, x);
  return dispatch("log_softmax", x.dtype(), [&](auto zero) {
    using Kernels = SoftmaxKernels<decltype(zero)>;
    return over_rows<decltype(zero)>("log_softmax", x, &Kernels::log_softmax, &Kernels::log_softmax_backward);
  });
}

}  // namespace bertie
