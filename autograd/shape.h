// The extents of an array, outermost axis first.
#pragma once
#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace bertie {

// Every one has fewer than 2^56 elements, extents of 0 not counted, so that no number of elements or bytes,
// of it or of a part of it, overflows 64 bits: what makes one, checks that, and nothing changes an extent.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;  // rank 0: a scalar, one element
  // All throw on a negative extent, on too many axes and on too many elements; the second names `op`.
  Shape(std::initializer_list<int64_t> extents);
  Shape(const int64_t* extents, int rank, const char* op = "shape");
  // The same but for one extent; a negative axis counts from the end.
  Shape with(int axis, int64_t extent) const;

  int rank() const { return rank_; }
  // The extent of `axis`; negative axes count from the end. Throws on an axis out of range.
  int64_t operator[](int axis) const { return extents_[axis_index(axis)]; }
  int axis_index(int axis) const;  // 0 … rank-1
  int64_t size() const;            // the number of elements
  void push_back(int64_t extent);

  const int64_t* begin() const { return extents_.data(); }
  const int64_t* end() const { return extents_.data() + rank_; }

  bool operator==(const Shape& other) const;
  std::string str() const;  // "[4, 3]"

 private:
  std::array<int64_t, max_rank> extents_{};
  int rank_ = 0;
};

// NumPy's rule: align at the last axis; extents agree or one of them is 1. Throws naming `op`.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace bertie

// Written out, because fmt's formatter of strings would need all of fmt/format.h.
template <>
struct fmt::formatter<bertie::Shape> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const bertie::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "{}", shape.str());
  }
};
