#include "bertie/ops/layout.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/threads.h"
#include "bertie/ops/gather.h"

namespace bertie {
namespace {

// y[i₀, i₁, …] = x at those indices put in `order`. T only stands for the element's size.
template <class T>
Array permute(const Array& x, const std::vector<int>& order) {
  int rank = x.shape().rank();
  Shape shape = x.shape();
  std::vector<int64_t> strides(rank, 1);  // of x, in the result's order
  for (int i = 0; i < rank; ++i) {
    shape[i] = x.shape()[order[i]];
    for (int axis = order[i] + 1; axis < rank; ++axis) strides[i] *= x.shape()[axis];
  }
  Array y = Array::empty(shape, x.dtype());
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  int64_t inner = shape[rank - 1], rows = inner ? y.size() / inner : 0;
  parallel_ranges(rows, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(inner, 1)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row) {
                      int64_t rest = row, source = 0;
                      for (int axis = rank - 2; axis >= 0; --axis) {
                        source += rest % shape[axis] * strides[axis];
                        rest /= shape[axis];
                      }
                      for (int64_t i = 0; i < inner; ++i)
                        to[row * inner + i] = from[source + i * strides[rank - 1]];
                    }
                  });
  return y;
}

Array permute(const Array& x, const std::vector<int>& order) {
  return dispatch("transpose", x.dtype(), [&](auto zero) { return permute<decltype(zero)>(x, order); });
}

// Copies `part` to or from its place along an axis of `whole`.
struct AxisCopy {
  int64_t outer, whole_row, part_row, begin;  // bytes but for outer
};

AxisCopy axis_copy(const Shape& whole, const Shape& part, int axis, int64_t begin, int64_t element) {
  AxisCopy copy{1, element, element, element};
  for (int i = 0; i < axis; ++i) copy.outer *= whole[i];
  for (int i = axis + 1; i < whole.rank(); ++i) copy.whole_row *= whole[i];
  copy.part_row = copy.whole_row * part[axis];
  copy.begin = copy.whole_row * begin;
  copy.whole_row *= whole[axis];
  return copy;
}

}  // namespace

Tensor reshape(const Tensor& x, std::vector<int64_t> extents) {
  check_value("reshape", x);
  int64_t known = 1, unknown = 0;
  for (int64_t extent : extents) {
    BERTIE_CHECK(extent >= -1, "reshape", "an extent can't be {}", extent);
    if (extent == -1)
      ++unknown;
    else
      BERTIE_CHECK(!__builtin_mul_overflow(known, extent, &known), "reshape",
                   "too many elements: an extent is {}", extent);
  }
  BERTIE_CHECK(unknown <= 1, "reshape", "only one extent may be -1, got {}", unknown);
  BERTIE_CHECK(unknown == 0 || (known > 0 && x.array().size() % known == 0), "reshape",
               "{} elements can't be divided into rows of {}", x.array().size(), known);
  if (unknown) *std::find(extents.begin(), extents.end(), -1) = x.array().size() / known;
  Array y = x.array().reshape(Shape(extents.data(), static_cast<int>(extents.size())));
  return record("reshape", y, {x},
                [shape = x.shape()](Array dy, const Needs&) -> Gradients { return {dy.reshape(shape)}; });
}

Tensor transpose(const Tensor& x, std::vector<int> order) {
  check_value("transpose", x);
  int rank = x.shape().rank();
  if (order.empty()) {
    BERTIE_CHECK(rank >= 2, "transpose", "needs two axes to swap, got shape {}", x.shape());
    for (int i = 0; i < rank; ++i) order.push_back(i);
    std::swap(order[rank - 1], order[rank - 2]);
  }
  BERTIE_CHECK(static_cast<int>(order.size()) == rank, "transpose", "the order must name {} axes, got {}",
               rank, order.size());
  std::vector<int> inverse(rank, -1);
  for (int i = 0; i < rank; ++i) {
    order[i] = x.shape().axis_index(order[i]);
    BERTIE_CHECK(inverse[order[i]] < 0, "transpose", "axis {} is named twice", order[i]);
    inverse[order[i]] = i;
  }
  return record("transpose", permute(x.array(), order), {x},
                [inverse](Array dy, const Needs&) -> Gradients { return {permute(dy, inverse)}; });
}

Tensor slice_rows(const Tensor& x, int64_t begin, int64_t end) {
  check_value("slice_rows", x);
  BERTIE_CHECK(x.shape().rank() >= 1 && 0 <= begin && begin <= end && end <= x.shape()[0], "slice_rows",
               "rows {} … {} are not within shape {}", begin, end, x.shape());
  return record("slice_rows", x.array().rows(begin, end), {x},
                [shape = x.shape(), begin, end](Array dy, const Needs&) -> Gradients {
                  Array dx = Array::zeros(shape, dy.dtype());
                  dx.rows(begin, end).copy_from(dy);
                  return {dx};
                });
}

Tensor concatenate(const std::vector<Tensor>& parts, int axis) {
  BERTIE_CHECK(!parts.empty(), "concatenate", "needs at least one part");
  for (const Tensor& part : parts) check_value("concatenate", part);
  Shape whole = parts[0].shape();
  axis = whole.axis_index(axis);
  std::vector<int64_t> begins{0};
  for (const Tensor& part : parts) {
    Shape expected = part.shape();
    BERTIE_CHECK(expected.rank() == whole.rank() && part.dtype() == parts[0].dtype(), "concatenate",
                 "parts must agree but for axis {}: {} {} and {} {}", axis, name(parts[0].dtype()),
                 parts[0].shape(), name(part.dtype()), part.shape());
    begins.push_back(begins.back() + expected[axis]);
    expected[axis] = whole[axis];
    BERTIE_CHECK(expected == whole, "concatenate", "parts must agree but for axis {}: {} and {}", axis,
                 parts[0].shape(), part.shape());
  }
  whole[axis] = begins.back();
  Array y = Array::empty(whole, parts[0].dtype());
  int64_t element = element_size(y.dtype());
  char* to = static_cast<char*>(y.mutable_bytes());
  for (size_t i = 0; i < parts.size(); ++i) {
    AxisCopy copy = axis_copy(whole, parts[i].shape(), axis, begins[i], element);
    const char* from = static_cast<const char*>(parts[i].array().bytes_begin());
    for (int64_t o = 0; o < copy.outer; ++o)
      std::memcpy(to + o * copy.whole_row + copy.begin, from + o * copy.part_row, copy.part_row);
  }
  std::vector<Shape> shapes;
  for (const Tensor& part : parts) shapes.push_back(part.shape());
  return record("concatenate", y, parts, [shapes, begins, axis](Array dy, const Needs& needs) -> Gradients {
    Gradients gradients(shapes.size());
    const char* from = static_cast<const char*>(dy.bytes_begin());
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (!needs[i]) continue;
      gradients[i] = Array::empty(shapes[i], dy.dtype());
      AxisCopy copy = axis_copy(dy.shape(), shapes[i], axis, begins[i], element_size(dy.dtype()));
      char* to = static_cast<char*>(gradients[i].values.mutable_bytes());
      for (int64_t o = 0; o < copy.outer; ++o)
        std::memcpy(to + o * copy.part_row, from + o * copy.whole_row + copy.begin, copy.part_row);
    }
    return gradients;
  });
}

Tensor select_rows(const Tensor& x, const Array& rows) {
  check_value("select_rows", x);
  BERTIE_CHECK(x.shape().rank() >= 1, "select_rows", "a scalar has no rows");
  Array y = gather_rows("select_rows", x.array(), rows);  // before rows.clone(): it checks them
  return record("select_rows", y, {x},
                [rows = rows.clone()](Array dy, const Needs&) -> Gradients { return {Gradient(dy, rows)}; });
}

}  // namespace bertie
