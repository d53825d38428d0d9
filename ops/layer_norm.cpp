#include "bertie/ops/layer_norm.h"

#include <algorithm>

#include "bertie/autograd/threads.h"
#include "bertie/ops/column_sum.h"
#include "bertie/ops/kernels/layer_norm.h"

namespace bertie {
namespace {

// Whose parameters' gradients are added first, then the blocks' sums, which shall stay few beside the rows.
int64_t rows_per_block(int64_t rows) { return std::max<int64_t>(64, rows / 64); }

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  BERTIE_CHECK(x && x.shape().rank() >= 1 && x.shape()[-1] >= 1, "layer_norm",
               "needs at least one element per row, got {}", x ? x.shape().str() : "no value");
  int64_t n = x.shape()[-1], rows = x.array().size() / n;
  for (const Tensor& parameter : {weight, bias})
    BERTIE_CHECK(parameter && parameter.shape() == Shape{n} && parameter.dtype() == compute_type(x.dtype()),
                 "layer_norm", "weight and bias must be {} [{}], like the rows of {} x: got {} {}",
                 name(compute_type(x.dtype())), n, name(x.dtype()), name(parameter.dtype()),
                 parameter.shape());
  BERTIE_CHECK(epsilon >= 0, "layer_norm", "epsilon can't be negative: {}", epsilon);
  return dispatch("layer_norm", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    int64_t grain = 1 + (1 << 14) / n;
    auto forward = [=, weight = weight.array(), bias = bias.array()](
                       const Array& x, std::vector<LayerNormRow<C>>& statistics) {
      Array y = Array::empty(x.shape(), x.dtype());
      statistics.resize(rows);
      const T* px = x.data<T>();
      const C *pw = weight.template data<C>(), *pb = bias.template data<C>();
      T* py = y.mutable_data<T>();
      parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
        layer_norm_kernels<T>().forward(px + begin * n, pw, pb, static_cast<C>(epsilon), py + begin * n,
                                        statistics.data() + begin, end - begin, n);
      });
      return y;
    };
    std::vector<LayerNormRow<C>> statistics;
    Array y = forward(x.array(), statistics);
    return record(
        "layer_norm", y, {x, weight, bias},
        [x = x.array(), weight = weight.array(), statistics = std::move(statistics), n, rows](
            Array dy, const Needs& needs) -> Gradients {
          int64_t block_rows = rows_per_block(rows), blocks = (rows + block_rows - 1) / block_rows;
          Array sums = Array::zeros({blocks, 2 * n}, weight.dtype());
          Array dx = dy.unique() ? dy : Array::empty(dy.shape(), dy.dtype());
          const T *px = x.template data<T>(), *pdy = dy.data<T>();
          const C* pw = weight.template data<C>();
          C* ps = sums.mutable_data<C>();
          T* out = dx.mutable_data<T>();
          parallel_tasks(blocks, [&](int64_t block) {
            int64_t begin = block * block_rows, at = begin * n;
            C* own = ps + block * 2 * n;
            layer_norm_kernels<T>().backward(px + at, statistics.data() + begin, pw, pdy + at, out + at, own,
                                             own + n, std::min(block_rows, rows - begin), n);
          });
          Gradients gradients{save_if(needs[0], dx), Array(), Array()};
          if (!needs[1] && !needs[2]) return gradients;
          Array both = column_sum(sums);
          if (needs[1]) gradients[1] = both.flat(0, {n}).clone();
          if (needs[2]) gradients[2] = both.flat(n, {n}).clone();
          return gradients;
        },
        [forward, saved = x.saved()] {
          std::vector<LayerNormRow<C>> statistics;
          return forward(saved.array(), statistics);
        });
  });
}

}  // namespace bertie
