// bfloat16: the upper half of a float, so its range and 8 bits of precision. A type to store in: whoever
// computes with such numbers does so in float, and what is assigned is rounded to the nearest (to even in the
// middle). Nothing here is ever compiled as a function of its own, so that kernel files may include it.
#pragma once
#include <stdint.h>

namespace bertie {

struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  [[gnu::always_inline]] bfloat16(float value) : bits(rounded(value)) {}
  [[gnu::always_inline]] operator float() const {
    uint32_t whole = static_cast<uint32_t>(bits) << 16;
    float value;
    __builtin_memcpy(&value, &whole, sizeof value);
    return value;
  }
  [[gnu::always_inline]] bfloat16& operator+=(float x) { return *this = float(*this) + x; }
  [[gnu::always_inline]] bfloat16& operator-=(float x) { return *this = float(*this) - x; }
  [[gnu::always_inline]] bfloat16& operator*=(float x) { return *this = float(*this) * x; }

 private:
  [[gnu::always_inline]] static uint16_t rounded(float value) {
    uint32_t whole;
    __builtin_memcpy(&whole, &value, sizeof whole);
    uint32_t nearest = (whole + 0x7FFF + (whole >> 16 & 1)) >> 16;
    uint32_t nan = whole >> 16 | 0x40;  // rounding could make an infinity of it
    return static_cast<uint16_t>((whole & 0x7FFFFFFF) > 0x7F800000 ? nan : nearest);
  }
};

template <class T>
struct ComputeOf {
  using type = T;
};
template <>
struct ComputeOf<bfloat16> {
  using type = float;
};
// What numbers stored as T are computed in, and what the parameters beside them are: float for bfloat16, T
// for others.
template <class T>
using Compute = typename ComputeOf<T>::type;

}  // namespace bertie
