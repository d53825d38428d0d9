#include "bertie/autograd/accumulate.h"

#include <algorithm>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/kernel_table.h"
#include "bertie/autograd/threads.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(AccumulateKernels, accumulate)

void accumulate(Array& sum, Gradient gradient, const Shape& shape) {
  if (gradient.ids) {
    if (!sum) sum = Array::zeros(shape, gradient.values.dtype());
    if (!sum.unique()) sum = sum.clone();
    add_rows(sum, gradient.values, gradient.ids);
  } else if (!sum) {
    sum = std::move(gradient.values);
  } else if (sum.unique()) {
    add_into(sum, gradient.values);
  } else if (gradient.values.unique()) {
    add_into(gradient.values, sum);
    sum = std::move(gradient.values);
  } else {
    sum = sum.clone();
    add_into(sum, gradient.values);
  }
}

void add_into(Array& into, const Array& from) {
  BERTIE_CHECK(into.shape() == from.shape() && into.dtype() == from.dtype(), "add_into",
               "can't add {} {} to {} {}", name(from.dtype()), from.shape(), name(into.dtype()),
               into.shape());
  dispatch("add_into", into.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* y = into.mutable_data<T>();
    const T* x = from.data<T>();
    const AccumulateKernels<T>& kernels = accumulate_kernels<T>();
    parallel_ranges(into.size(), 1 << 16,
                    [&](int64_t begin, int64_t end) { kernels.add(y + begin, x + begin, end - begin); });
  });
}

std::vector<int64_t> row_ids(const char* op, const Array& ids, int64_t rows) {
  BERTIE_CHECK(ids && ids.shape().rank() == 1 && (ids.dtype() == DType::i32 || ids.dtype() == DType::i64), op,
               "ids must be one axis of i32 or i64, got {} {}", ids ? name(ids.dtype()) : "none",
               ids.shape());
  std::vector<int64_t> result(ids.size());
  for (int64_t i = 0; i < ids.size(); ++i) {
    result[i] = ids.dtype() == DType::i32 ? ids.data<int32_t>()[i] : ids.data<int64_t>()[i];
    BERTIE_CHECK(result[i] >= 0 && result[i] < rows, op, "ids must be in 0 … {}: id {} at position {}",
                 rows - 1, result[i], i);
  }
  return result;
}

void add_rows(Array& into, const Array& rows, const Array& ids) {
  std::vector<int64_t> index = row_ids("add_rows", ids, into.shape()[0]);
  if (index.empty()) return;
  int64_t width = rows.size() / ids.size();
  dispatch("add_rows", into.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = rows.data<T>();
    T* to = into.mutable_data<T>();
    const AccumulateKernels<T>& kernels = accumulate_kernels<T>();
    // A strip of columns per task, so that no two tasks add to the same element.
    constexpr int64_t strip = 128;
    parallel_tasks((width + strip - 1) / strip, [&](int64_t task) {
      int64_t begin = task * strip, n = std::min(strip, width - begin);
      for (size_t i = 0; i < index.size(); ++i)
        kernels.add(to + index[i] * width + begin, from + static_cast<int64_t>(i) * width + begin, n);
    });
  });
}

namespace {

// Σ x over n elements. Halves are added so that rounding errors don't grow with n.
template <class T>
Compute<T> sum(const T* x, int64_t n) {
  if (n <= 1 << 12) return accumulate_kernels<T>().sum(x, n);
  return sum(x, n / 2) + sum(x + n / 2, n - n / 2);
}

constexpr int64_t strip = 256;

// y[i] = Σ x[r, i] over rows that begin `stride` elements apart, for i < width ≤ strip; likewise by halves.
template <class T>
void sum_rows(const T* x, int64_t stride, int64_t rows, Compute<T>* y, int64_t width) {
  std::fill_n(y, width, Compute<T>(0));
  if (rows <= 64) {
    for (int64_t r = 0; r < rows; ++r) accumulate_kernels<T>().add_to_sums(y, x + r * stride, width);
    return;
  }
  Compute<T> half[strip];
  sum_rows(x, stride, rows / 2, y, width);
  sum_rows(x + rows / 2 * stride, stride, rows - rows / 2, half, width);
  accumulate_kernels<Compute<T>>().add(y, half, width);
}

// y[o, i] = Σ_r x[o, r, i]: sums the middle one of three axes.
template <class T>
void sum_axis(const T* x, Compute<T>* y, int64_t outer, int64_t repeat, int64_t inner) {
  if (inner == 1) {
    int64_t grain = 1 + (1 << 14) / (repeat + 1);
    parallel_ranges(outer, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) y[o] = sum(x + o * repeat, repeat);
    });
    return;
  }
  // A strip of columns per task.
  int64_t strips = (inner + strip - 1) / strip;
  parallel_tasks(outer * strips, [&](int64_t task) {
    int64_t o = task / strips, begin = task % strips * strip, width = std::min(strip, inner - begin);
    sum_rows(x + o * repeat * inner + begin, inner, repeat, y + o * inner + begin, width);
  });
}

}  // namespace

Array sum_to_shape(const Array& gradient, const Shape& shape, DType type) {
  const Shape& from = gradient.shape();
  BERTIE_CHECK(broadcast("sum_to_shape", shape, from) == from, "sum_to_shape", "{} doesn't broadcast to {}",
               shape, from);
  Array result = gradient;
  int leading = from.rank() - shape.rank();
  for (int axis = 0; axis < from.rank(); ++axis) {
    int64_t wanted = axis < leading ? 1 : shape[axis - leading];
    if (result.shape()[axis] == wanted) continue;
    const Shape& whole = result.shape();
    int64_t outer = 1, repeat = whole[axis], inner = 1;
    for (int i = 0; i < axis; ++i) outer *= whole[i];
    for (int i = axis + 1; i < whole.rank(); ++i) inner *= whole[i];
    Array summed = Array::empty(whole.with(axis, wanted), compute_type(result.dtype()));
    dispatch("sum_to_shape", result.dtype(), [&](auto zero) {
      using T = decltype(zero);
      sum_axis(result.data<T>(), summed.mutable_data<Compute<T>>(), outer, repeat, inner);
    });
    result = summed;
  }
  if (result.dtype() != type) result = result.cast(type);
  return result.reshape(shape);
}

}  // namespace bertie
