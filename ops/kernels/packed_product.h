// Products with a weight [out, in] that was packed for them, of numbers shorter than f32. int8 is added up in
// 32 bits, which is exact, so every instruction set gives the same sums; bf16 in f32.
#pragma once
#include <cstdint>

#include "bertie/autograd/bfloat16.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/int8_instructions.h"

namespace bertie {

// What a block of a product is: so many columns, which are rows of the weight, and at most so many rows of x.
constexpr int64_t block_columns = 64, block_rows = 32;
// Columns lie in panels of 16, of which each holds four bytes of one column side by side: [in / 4, 16, 4] of
// int8, [in / 2, 16, 2] of bf16. So a vector, or a row of an AMX tile, takes as much from each column.
constexpr int64_t panel_columns = 16, int8_together = 4, bf16_together = 2;
// Bytes of which a column's length is a multiple: what a row of an AMX tile holds.
constexpr int64_t depth_bytes = 64;

// sums [rows, block_columns] = x Wᵀ    x [rows, depth]; rows ≤ block_rows, but as many can be read as the
// next multiple of 16. w: the panels of the columns one behind the other. Strides and depth count numbers.
struct Int8Block {
  int64_t rows, depth;
  const uint8_t* x;
  int64_t x_stride;
  const int8_t* w;  // −127 … 127
  int32_t* sums;
};
struct Bf16Block {
  int64_t rows, depth;
  const bfloat16* x;
  int64_t x_stride;
  const bfloat16* w;
  float* sums;
};

// The loop for these instructions, which the CPU must have; for none, the textbook's. That for AMX leaves the
// thread's tiles as they were.
using Int8Loop = void (*)(const Int8Block& block);
Int8Loop int8_loop(Int8Instructions instructions);
using Bf16Loop = void (*)(const Bf16Block& block);
Bf16Loop bf16_loop(Bf16Instructions instructions);

}  // namespace bertie
