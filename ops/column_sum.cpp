#include "bertie/ops/column_sum.h"

#include <algorithm>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/threads.h"

namespace bertie {
namespace {

constexpr int64_t block_rows = 64;

// y[c] = Σ x[t, c] over `rows` rows.
template <class T>
void add_rows(const T* x, Compute<T>* y, int64_t rows, int64_t columns) {
  const AccumulateKernels<T>& kernels = accumulate_kernels<T>();
  std::fill_n(y, columns, Compute<T>(0));
  for (int64_t t = 0; t < rows; ++t) kernels.add_to_sums(y, x + t * columns, columns);
}

}  // namespace

Array column_sum(const Array& x) {
  BERTIE_CHECK(x.shape().rank() == 2, "column_sum", "needs a matrix, got {}", x.shape());
  int64_t rows = x.shape()[0], columns = x.shape()[1], blocks = (rows + block_rows - 1) / block_rows;
  Array y = Array::empty({columns}, compute_type(x.dtype()));
  dispatch("column_sum", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    using Sum = Compute<T>;
    if (blocks <= 1) return add_rows(from, y.mutable_data<Sum>(), rows, columns);
    Array sums = Array::empty({blocks, columns}, y.dtype());
    Sum* to = sums.mutable_data<Sum>();
    parallel_ranges(blocks, 1 + (1 << 14) / (block_rows * columns + 1), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        int64_t first = block * block_rows;
        add_rows(from + first * columns, to + block * columns, std::min(block_rows, rows - first), columns);
      }
    });
    add_rows(to, y.mutable_data<Sum>(), blocks, columns);
  });
  return y;
}

}  // namespace bertie
