#include "ops/layer_norm.h"

#include "autograd/accumulate_table.h"
#include "autograd/threads.h"
#include "ops/kernels/layer_norm.h"

namespace bertie {
namespace {

constexpr int64_t block_rows =
    64;  // whose parameter gradients are added first; the blocks' sums then in order

// dweight and dbias [2, H]
template <class T>
Array parameter_gradients(const Array& x, const Array& mean, const Array& rstd, const Array& dy) {
  int64_t n = x.shape()[-1], rows = mean.size(), blocks = (rows + block_rows - 1) / block_rows;
  Array sums = Array::zeros({blocks > 0 ? blocks : 1, 2, n}, x.dtype());
  T* out = sums.mutable_data<T>();
  const T *px = x.data<T>(), *pm = mean.data<T>(), *pr = rstd.data<T>(), *pdy = dy.data<T>();
  parallel_tasks(blocks, [&](int64_t block) {
    int64_t begin = block * block_rows, count = begin + block_rows < rows ? block_rows : rows - begin;
    T* own = out + block * 2 * n;
    layer_norm_kernels<T>().parameter_gradients(px + begin * n, pm + begin, pr + begin, pdy + begin * n, own,
                                                own + n, count, n);
  });
  for (int64_t block = 1; block < blocks; ++block)
    accumulate_kernels<T>().add(out, out + block * 2 * n, 2 * n);
  return sums.rows(0, 1).reshape({2, n});
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  check(x && x.shape().rank() >= 1 && x.shape()[-1] >= 1, "layer_norm",
        "needs at least one element per row, got {}", x ? x.shape().str() : "no value");
  int64_t n = x.shape()[-1], rows = x.array().size() / n;
  for (const Tensor& parameter : {weight, bias})
    check(parameter && parameter.shape() == Shape{n} && parameter.dtype() == x.dtype(), "layer_norm",
          "weight and bias must be {} [{}], like the rows of x: got {} {}", name(x.dtype()), n,
          name(parameter.dtype()), parameter.shape());
  check(epsilon >= 0, "layer_norm", "epsilon can't be negative: {}", epsilon);
  return dispatch("layer_norm", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    int64_t grain = 1 + (1 << 14) / n;
    Array y = Array::empty(x.shape(), x.dtype()), mean = Array::empty({rows}, x.dtype());
    Array rstd = Array::empty({rows}, x.dtype());
    const T *px = x.array().data<T>(), *pw = weight.array().data<T>(), *pb = bias.array().data<T>();
    T *py = y.mutable_data<T>(), *pm = mean.mutable_data<T>(), *pr = rstd.mutable_data<T>();
    parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
      layer_norm_kernels<T>().forward(px + begin * n, pw, pb, static_cast<T>(epsilon), py + begin * n,
                                      pm + begin, pr + begin, end - begin, n);
    });
    return record(
        "layer_norm", y, {x, weight, bias},
        [x = x.array(), weight = weight.array(), mean, rstd, n, rows, grain](
            Array dy, const Needs& needs) -> Gradients {
          Gradients gradients(3);
          if (needs[1] || needs[2]) {
            Array both = parameter_gradients<T>(x, mean, rstd, dy);
            if (needs[1]) gradients[1] = both.rows(0, 1).reshape({n}).clone();
            if (needs[2]) gradients[2] = both.rows(1, 2).reshape({n}).clone();
          }
          if (needs[0]) {
            Array dx = dy.unique() ? dy : Array::empty(dy.shape(), dy.dtype());
            const T *px = x.template data<T>(), *pm = mean.template data<T>(), *pr = rstd.template data<T>();
            const T *pw = weight.template data<T>(), *pdy = dy.data<T>();
            T* out = dx.mutable_data<T>();
            parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
              layer_norm_kernels<T>().input_gradient(px + begin * n, pm + begin, pr + begin, pw,
                                                     pdy + begin * n, out + begin * n, end - begin, n);
            });
            gradients[0] = dx;
          }
          return gradients;
        });
  });
}

}  // namespace bertie
