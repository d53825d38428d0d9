#include "bertie/autograd/shape.h"

#include <algorithm>
#include <vector>

#include "bertie/autograd/error.h"

namespace bertie {

Shape::Shape(const int64_t* extents, int rank, const char* op) {
  BERTIE_CHECK(rank <= max_rank, op, "an array has at most {} axes, got {}", +max_rank, rank);
  int64_t size = 1;
  for (int axis = 0; axis < rank; ++axis) {
    BERTIE_CHECK(extents[axis] >= 0, op, "an extent can't be negative: axis {} is {}", axis, extents[axis]);
    int64_t factor = std::max<int64_t>(1, extents[axis]);
    BERTIE_CHECK(!__builtin_mul_overflow(size, factor, &size) && size < (int64_t{1} << 56), op,
                 "too many elements at axis {} of extent {}", axis, extents[axis]);
    extents_[axis] = extents[axis];
  }
  rank_ = rank;
}

Shape Shape::with(int axis, int64_t extent) const {
  std::array<int64_t, max_rank> extents = extents_;
  extents[axis_index(axis)] = extent;
  return Shape(extents.data(), rank_);
}

Shape::Shape(std::initializer_list<int64_t> extents)
    : Shape(extents.begin(), static_cast<int>(extents.size())) {}

int Shape::axis_index(int axis) const {
  BERTIE_CHECK(axis >= -rank_ && axis < rank_, "shape", "axis {} is out of range for {} axes", axis, rank_);
  return axis < 0 ? axis + rank_ : axis;
}

int64_t Shape::size() const {
  int64_t size = 1;
  for (int64_t extent : *this) size *= extent;
  return size;
}

void Shape::push_back(int64_t extent) {
  std::array<int64_t, max_rank + 1> extents{};
  std::copy(begin(), end(), extents.begin());
  extents[rank_] = extent;
  *this = Shape(extents.data(), rank_ + 1);
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

std::string Shape::str() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) text += (axis ? ", " : "") + std::to_string(extents_[axis]);
  return text + "]";
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  std::vector<int64_t> result(longer.begin(), longer.end());
  for (int axis = -1; axis >= -shorter.rank(); --axis) {
    int64_t x = longer[axis], y = shorter[axis];
    BERTIE_CHECK(x == y || x == 1 || y == 1, op, "shapes must agree or be 1 at each axis: a is {}, b is {}",
                 a, b);
    result[longer.rank() + axis] = x == 1 ? y : x;
  }
  return Shape(result.data(), longer.rank(), op);
}

}  // namespace bertie
