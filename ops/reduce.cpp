#include "bertie/ops/reduce.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/accumulate.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/kernels/softmax.h"
#include "bertie/ops/layout.h"

namespace bertie {
namespace {

struct Reduction {
  Shape kept;     // the reduced axes have extent 1
  Shape result;   // what the caller gets
  int64_t count;  // elements that make one
};

Reduction reduction(const char* op, const Shape& shape, const ReduceOptions& options) {
  std::vector<bool> reduced(shape.rank(), options.axes.empty());
  for (int axis : options.axes) {
    int index = shape.axis_index(axis);
    BERTIE_CHECK(!reduced[index], op, "axis {} is given twice", axis);
    reduced[index] = true;
  }
  Reduction r{shape, Shape{}, 1};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[axis]) {
      r.result.push_back(shape[axis]);
      continue;
    }
    r.count *= shape[axis];
    r.kept = r.kept.with(axis, 1);
    if (options.keep_dims) r.result.push_back(1);
  }
  return r;
}

// out[…] = small[…] repeated along the axes where `small` has extent 1; times `factor`.
template <class T>
void repeat(const Array& small, Array& out, Compute<T> factor) {
  const Shape &from = small.shape(), &to = out.shape();
  const T* x = small.data<T>();
  T* y = out.mutable_data<T>();
  int rank = to.rank();
  int64_t inner = rank ? to[rank - 1] : 1, rows = inner ? out.size() / inner : 0;
  bool repeat_inner = rank && from[rank - 1] != inner;
  parallel_ranges(rows, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(inner, 1)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row) {
                      int64_t rest = row, source = 0, stride = repeat_inner ? 1 : inner;
                      for (int axis = rank - 2; axis >= 0; --axis) {
                        if (from[axis] != 1) source += rest % to[axis] * stride;
                        rest /= to[axis];
                        stride *= from[axis];
                      }
                      for (int64_t i = 0; i < inner; ++i)
                        y[row * inner + i] = x[source + (repeat_inner ? 0 : i)] * factor;
                    }
                  });
}

Tensor scaled_sum(const char* op, const Tensor& x, const ReduceOptions& options, bool divide) {
  check_value(op, x);
  Reduction r = reduction(op, x.shape(), options);
  double factor = 1;
  if (divide) {
    BERTIE_CHECK(r.count > 0, op, "there is nothing to average in shape {}", x.shape());
    factor = 1.0 / static_cast<double>(r.count);
  }
  return dispatch(op, x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    Array y = sum_to_shape(x.array(), r.kept, dtype_of<C>());
    if (divide) {
      if (!y.unique()) y = y.clone();
      C* p = y.mutable_data<C>();
      for (int64_t i = 0; i < y.size(); ++i) p[i] *= static_cast<C>(factor);
      if (!std::all_of(p, p + y.size(), [](C value) { return std::isfinite(value); })) {
        // A sum overflows where the mean may not: then each part is divided first.
        Array parts = Array::empty(x.shape(), x.dtype());
        repeat<T>(x.array(), parts, static_cast<C>(factor));
        y = sum_to_shape(parts, r.kept, dtype_of<C>());
      }
    }
    if (y.dtype() != x.dtype()) y = y.cast(x.dtype());
    return record(op, y.reshape(r.result), {x},
                  [kept = r.kept, shape = x.shape(), factor](Array dy, const Needs&) -> Gradients {
                    Array dx = Array::empty(shape, dy.dtype());
                    repeat<T>(dy.reshape(kept), dx, static_cast<C>(factor));
                    return {dx};
                  });
  });
}

template <class C>
bool larger(C a, C b) {
  return a > b || (std::isnan(a) && !std::isnan(b));
}

// Where a walk over some of the axes of x comes by, from the first element on: over those before the last
// that are reduced, or over all that aren't.
std::vector<int64_t> walk(const Shape& shape, const Shape& kept, bool reduced) {
  std::vector<int64_t> result{0};
  for (int64_t axis = shape.rank() - 1, stride = 1; axis >= 0; stride *= shape[axis--]) {
    if ((kept[axis] != shape[axis]) != reduced || (reduced && axis == shape.rank() - 1)) continue;
    std::vector<int64_t> inner = std::move(result);
    result.clear();
    for (int64_t i = 0; i < shape[axis]; ++i)
      for (int64_t position : inner) result.push_back(position + i * stride);
  }
  return result;
}

// For each reduced group, the position in x of its first maximum.
template <class T>
std::vector<int64_t> positions_of_maxima(const Array& x, const Shape& kept) {
  std::vector<int64_t> groups = walk(x.shape(), kept, false), runs = walk(x.shape(), kept, true);
  int64_t count = kept.size(), length = kept.rank() && kept[-1] != x.shape()[-1] ? x.shape()[-1] : 1;
  int64_t grain = 1 + (1 << 14) / (length * static_cast<int64_t>(runs.size()));
  parallel_ranges(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* first = x.data<T>() + groups[i];
      int64_t best = 0;
      for (int64_t run : runs)
        for (int64_t k = run; k < run + length; ++k)
          if (larger<Compute<T>>(first[k], first[best])) best = k;
      groups[i] += best;
    }
  });
  return groups;
}

}  // namespace

Tensor sum(const Tensor& x, const ReduceOptions& options) { return scaled_sum("sum", x, options, false); }

Tensor mean(const Tensor& x, const ReduceOptions& options) { return scaled_sum("mean", x, options, true); }

Tensor max(const Tensor& x, const ReduceOptions& options) {
  check_value("max", x);
  Reduction r = reduction("max", x.shape(), options);
  BERTIE_CHECK(r.count > 0, "max", "there is no maximum of nothing: shape {}", x.shape());
  return dispatch("max", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<int64_t> positions = positions_of_maxima<T>(x.array(), r.kept);
    Array y = Array::empty(r.result, x.dtype());
    T* out = y.mutable_data<T>();
    for (size_t i = 0; i < positions.size(); ++i) out[i] = x.array().data<T>()[positions[i]];
    return record("max", y, {x}, [positions, shape = x.shape()](Array dy, const Needs&) -> Gradients {
      Array dx = Array::zeros(shape, dy.dtype());
      T* p = dx.mutable_data<T>();
      for (size_t i = 0; i < positions.size(); ++i) p[positions[i]] = dy.data<T>()[i];
      return {dx};
    });
  });
}

Tensor log_sum_exp(const Tensor& x, const ReduceOptions& options) {
  check_value("log_sum_exp", x);
  Reduction r = reduction("log_sum_exp", x.shape(), options);
  std::vector<int> order, last;  // each sum's elements side by side
  for (int axis = 0; axis < x.shape().rank(); ++axis)
    (r.kept[axis] == x.shape()[axis] ? order : last).push_back(axis);
  order.insert(order.end(), last.begin(), last.end());
  Tensor rows = std::is_sorted(order.begin(), order.end()) ? x : transpose(x, order);

  int64_t n = r.count, grain = 1 + (1 << 14) / std::max<int64_t>(n, 1);
  return dispatch("log_sum_exp", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array y = Array::empty(r.result, x.dtype());
    std::vector<LogSum<Compute<T>>> sums(y.size());
    const T* in = rows.array().data<T>();
    T* out = y.mutable_data<T>();
    parallel_ranges(y.size(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        sums[i] = softmax_kernels<T>().log_sum_exp(in + i * n, n);
        out[i] = sums[i].largest + sums[i].rest;
        if (sums[i].rest == -INFINITY) sums[i].rest = 0;  // for the gradient: −∞ − −∞ would be NaN
      }
    });
    return record("log_sum_exp", y, {rows},
                  [x = save_if(rows.requires_grad(), rows.array()), sums = std::move(sums), n, grain](
                      Array dy, const Needs&) -> Gradients {
                    Array dx = Array::empty(x.shape(), x.dtype());
                    const T *in = x.data<T>(), *d = dy.data<T>();
                    T* out = dx.mutable_data<T>();
                    parallel_ranges(dy.size(), grain, [&](int64_t begin, int64_t end) {
                      for (int64_t i = begin; i < end; ++i)
                        softmax_kernels<T>().cross_entropy_gradient(in + i * n, sums[i], 0, d[i], out + i * n,
                                                                    n);
                    });
                    return {dx};
                  });
  });
}

Array argmax(const Array& x, int axis) {
  Reduction r = reduction("argmax", x.shape(), {{axis}, false});
  BERTIE_CHECK(r.count > 0, "argmax", "there is no maximum of nothing: shape {}", x.shape());
  Array index = Array::empty(r.result, DType::i64);
  int64_t inner = 1;
  for (int i = x.shape().axis_index(axis) + 1; i < x.shape().rank(); ++i) inner *= x.shape()[i];
  dispatch("argmax", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* p = x.data<T>();
    int64_t* out = index.mutable_data<int64_t>();
    parallel_ranges(index.size(), 1 + (1 << 14) / r.count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* first = p + i / inner * r.count * inner + i % inner;
        int64_t best = 0;
        for (int64_t k = 1; k < r.count; ++k)
          if (larger<Compute<T>>(first[k * inner], first[best * inner])) best = k;
        out[i] = best;
      }
    });
  });
  return index;
}

}  // namespace bertie
