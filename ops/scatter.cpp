#include "ops/scatter.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "autograd/accumulate_table.h"
#include "autograd/threads.h"

namespace bertie {
namespace {

std::vector<int64_t> checked_ids(const char* op, const Array& ids, int64_t rows) {
  check(ids && ids.shape().rank() == 1 && (ids.dtype() == DType::i32 || ids.dtype() == DType::i64), op,
        "ids must be one axis of i32 or i64, got {} {}", ids ? name(ids.dtype()) : "none", ids.shape());
  std::vector<int64_t> result(ids.size());
  for (int64_t i = 0; i < ids.size(); ++i) {
    result[i] = ids.dtype() == DType::i32 ? ids.data<int32_t>()[i] : ids.data<int64_t>()[i];
    check(result[i] >= 0 && result[i] < rows, op, "ids must be in 0 … {}: id {} at position {}", rows - 1,
          result[i], i);
  }
  return result;
}

}  // namespace

Array gather_rows(const char* op, const Array& table, const Array& ids) {
  std::vector<int64_t> index = checked_ids(op, ids, table.shape()[0]);
  Shape shape = table.shape();
  shape[0] = ids.size();
  Array y = Array::empty(shape, table.dtype());
  int64_t row = index.empty() ? 0 : y.bytes() / ids.size();
  const char* from = static_cast<const char*>(table.bytes_begin());
  char* to = static_cast<char*>(y.mutable_bytes());
  parallel_ranges(ids.size(), std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(row, 1)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i)
                      std::memcpy(to + i * row, from + index[i] * row, row);
                  });
  return y;
}

Array scatter_rows(const char* op, const Array& rows, const Array& ids, const Shape& shape) {
  std::vector<int64_t> index = checked_ids(op, ids, shape[0]);
  Array sum = Array::zeros(shape, rows.dtype());
  if (index.empty()) return sum;
  int64_t width = rows.size() / ids.size();
  dispatch(op, rows.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = rows.data<T>();
    T* to = sum.mutable_data<T>();
    const AccumulateKernels<T>& kernels = accumulate_kernels<T>();
    // A strip of columns per task, so that no two tasks add to the same element.
    constexpr int64_t strip = 128;
    parallel_tasks((width + strip - 1) / strip, [&](int64_t task) {
      int64_t begin = task * strip, n = std::min(strip, width - begin);
      for (size_t i = 0; i < index.size(); ++i)
        kernels.add(to + index[i] * width + begin, from + static_cast<int64_t>(i) * width + begin, n);
    });
  });
  return sum;
}

}  // namespace bertie
