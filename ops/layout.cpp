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
  std::vector<int64_t> extents(rank), strides(rank, 1);  // of the result; of x, in the result's order
  for (int i = 0; i < rank; ++i) {
    extents[i] = x.shape()[order[i]];
    for (int axis = order[i] + 1; axis < rank; ++axis) strides[i] *= x.shape()[axis];
  }
  Shape shape(extents.data(), rank);
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

// Where a part of `whole` lies, a range of one axis: `rows` pieces of `width` bytes, `stride` bytes apart.
struct Range {
  int64_t rows, width, stride, offset;
};

Range range_of(const Shape& whole, int axis, int64_t begin, int64_t end, int64_t element) {
  int64_t rows = 1, inner = element;
  for (int i = 0; i < axis; ++i) rows *= whole[i];
  for (int i = axis + 1; i < whole.rank(); ++i) inner *= whole[i];
  return {rows, (end - begin) * inner, whole[axis] * inner, begin * inner};
}

// Copies rows · width bytes; a task may begin and end within a row.
void copy_rows(int64_t rows, int64_t width, const char* from, int64_t from_stride, char* to,
               int64_t to_stride) {
  parallel_ranges(rows * width, 1 << 16, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      int64_t row = begin / width, at = begin % width, count = std::min(end - begin, width - at);
      std::memcpy(to + row * to_stride + at, from + row * from_stride + at, count);
      begin += count;
    }
  });
}

// part = the range of `whole`
void read_range(const Array& whole, const Range& r, Array& part) {
  copy_rows(r.rows, r.width, static_cast<const char*>(whole.bytes_begin()) + r.offset, r.stride,
            static_cast<char*>(part.mutable_bytes()), r.width);
}

// the range of `whole` = part
void write_range(const Array& part, const Range& r, Array& whole) {
  copy_rows(r.rows, r.width, static_cast<const char*>(part.bytes_begin()), r.width,
            static_cast<char*>(whole.mutable_bytes()) + r.offset, r.stride);
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

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  check_value("slice", x);
  Shape whole = x.shape();
  axis = whole.axis_index(axis);
  BERTIE_CHECK(0 <= begin && begin <= end && end <= whole[axis], "slice",
               "indices {} … {} are not within axis {} of shape {}", begin, end, axis, whole);
  Range range = range_of(whole, axis, begin, end, element_size(x.dtype()));
  Array y;
  if (axis == 0) {
    y = x.array().rows(begin, end);
  } else {
    y = Array::empty(whole.with(axis, end - begin), x.dtype());
    read_range(x.array(), range, y);
  }
  return record("slice", y, {x}, [whole, range](Array dy, const Needs&) -> Gradients {
    Array dx = Array::zeros(whole, dy.dtype());
    write_range(dy, range, dx);
    return {dx};
  });
}

std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int axis) {
  check_value("split", x);
  int64_t rest = x.shape()[axis];
  for (int64_t size : sizes) {
    BERTIE_CHECK(0 <= size && size <= rest, "split",
                 "sizes must add up to the extent: axis {} of shape {} has {} left for a part of {}", axis,
                 x.shape(), rest, size);
    rest -= size;
  }
  BERTIE_CHECK(rest == 0, "split", "sizes must add up to the extent: {} of axis {} of shape {} are left",
               rest, axis, x.shape());
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (int64_t size : sizes) {
    parts.push_back(slice(x, axis, begin, begin + size));
    begin += size;
  }
  return parts;
}

std::vector<Tensor> split(const Tensor& x, int64_t parts, int axis) {
  check_value("split", x);
  int64_t extent = x.shape()[axis];
  BERTIE_CHECK(parts >= 1 && extent % parts == 0, "split", "{} parts don't divide axis {} of shape {}", parts,
               axis, x.shape());
  return split(x, std::vector<int64_t>(parts, extent / parts), axis);
}

Tensor concatenate(const std::vector<Tensor>& parts, int axis) {
  BERTIE_CHECK(!parts.empty(), "concatenate", "needs at least one part");
  for (const Tensor& part : parts) check_value("concatenate", part);
  Shape whole = parts[0].shape();
  axis = whole.axis_index(axis);
  std::vector<int64_t> begins{0};
  for (const Tensor& part : parts) {
    const Shape& shape = part.shape();
    BERTIE_CHECK(shape.rank() == whole.rank() && part.dtype() == parts[0].dtype(), "concatenate",
                 "parts must agree but for axis {}: {} {} and {} {}", axis, name(parts[0].dtype()),
                 parts[0].shape(), name(part.dtype()), part.shape());
    begins.push_back(begins.back() + shape[axis]);
    BERTIE_CHECK(shape.with(axis, 0) == whole.with(axis, 0), "concatenate",
                 "parts must agree but for axis {}: {} and {}", axis, parts[0].shape(), part.shape());
    whole = whole.with(axis, begins.back());
  }
  Array y = Array::empty(whole, parts[0].dtype());
  int64_t element = element_size(y.dtype());
  std::vector<Shape> shapes;
  std::vector<Range> ranges;
  for (size_t i = 0; i < parts.size(); ++i) {
    shapes.push_back(parts[i].shape());
    ranges.push_back(range_of(whole, axis, begins[i], begins[i + 1], element));
    write_range(parts[i].array(), ranges[i], y);
  }
  return record("concatenate", y, parts, [shapes, ranges](Array dy, const Needs& needs) -> Gradients {
    Gradients gradients(shapes.size());
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (!needs[i]) continue;
      gradients[i] = Array::empty(shapes[i], dy.dtype());
      read_range(dy, ranges[i], gradients[i].values);
    }
    return gradients;
  });
}

Tensor stack(const std::vector<Tensor>& tensors, int axis) {
  BERTIE_CHECK(!tensors.empty(), "stack", "needs at least one tensor");
  std::vector<Tensor> parts;
  for (const Tensor& x : tensors) {
    check_value("stack", x);
    const Shape& first = tensors[0].shape();
    BERTIE_CHECK(x.shape() == first && x.dtype() == tensors[0].dtype(), "stack",
                 "all must agree: {} {} and {} {}", name(tensors[0].dtype()), first, name(x.dtype()),
                 x.shape());
    std::vector<int64_t> extents(first.begin(), first.end());
    int rank = first.rank();
    BERTIE_CHECK(rank < Shape::max_rank && -rank - 1 <= axis && axis <= rank, "stack",
                 "axis {} can't be added to shape {}", axis, first);
    extents.insert(extents.begin() + (axis < 0 ? axis + rank + 1 : axis), 1);
    parts.push_back(reshape(x, extents));
  }
  return concatenate(parts, axis);
}

Tensor select_rows(const Tensor& x, const Array& rows) {
  check_value("select_rows", x);
  BERTIE_CHECK(x.shape().rank() >= 1, "select_rows", "a scalar has no rows");
  Array y = gather_rows("select_rows", x.array(), rows);  // before rows.clone(): it checks them
  return record("select_rows", y, {x},
                [rows = rows.clone()](Array dy, const Needs&) -> Gradients { return {Gradient(dy, rows)}; });
}

}  // namespace bertie
