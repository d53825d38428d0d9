// Products of int8, added up in 32 bits: exact, so every instruction set gives the same sums.
#pragma once
#include <cstdint>

#include "bertie/ops/int8_instructions.h"

namespace bertie {

// What a block of a product is: so many columns of W, which are the rows of a weight [out, in], and at most
// so many rows of x.
constexpr int64_t int8_columns = 64, int8_rows = 32;
// Columns lie in panels, of which each holds four numbers of one column side by side: [in / 4, 16, 4]. So a
// vector, or a row of an AMX tile, takes a quartet from each of 16 columns.
constexpr int64_t int8_panel = 16, int8_quartet = 4;
// A multiple of which the depth is: what a row of an AMX tile holds.
constexpr int64_t int8_depth = 64;

// sums [rows, int8_columns] = x Wᵀ    x [rows, depth], 0 … 255; rows ≤ int8_rows, but as many can be read
// as the next multiple of 16. w: the panels of the columns one behind the other, −127 … 127.
struct Int8Block {
  int64_t rows, depth;
  const uint8_t* x;
  int64_t x_stride;  // bytes from one row to the next
  const int8_t* w;
  int32_t* sums;
};

// The loop for these instructions, which the CPU must have. The AMX one leaves the thread's tiles as they
// were.
using Int8Loop = void (*)(const Int8Block& block);
Int8Loop int8_loop(Int8Instructions instructions);

}  // namespace bertie
