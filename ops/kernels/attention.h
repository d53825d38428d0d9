// Products too small or too flat for a library's packing, and the passes of attention over rows of scores.
#pragma once
#include <cstdint>

namespace bertie {

// Scratch rows have room for a multiple of this many elements: loops run over whole chunks.
constexpr int64_t attention_chunk = 16;

// C = A B, or C + A B where `accumulate`.   A [M, K]   B [K, N]   C [M, N]
// Element (m, k) of A is a[m · a_row + k · a_column]. B's rows can be read up to a multiple of the chunk.
template <class T>
struct SmallProduct {
  int64_t M, N, K;
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_stride;
  T* c;
  int64_t c_stride;
  bool accumulate = false;
  bool fetch_rows = false;       // A comes from memory: ask for a tile's rows one tile ahead
  const T* then_read = nullptr;  // K · N numbers that the caller reads next: ask for them meanwhile
};

// Of a row of scores, what makes probabilities of them again. Two numbers: see LogSum in
// ops/kernels/softmax.h.
template <class T>
struct ScoreSum {
  T largest, sum;
};

template <class T>
struct AttentionKernels {
  // Of C these many columns are computed at a time, a multiple of the chunk: a B whose columns lie in panels
  // of so many, [N / panel, K, panel], is read from one end to the other.
  int64_t panel_columns;
  void (*multiply)(const SmallProduct<T>& product);
  // to [columns, rows] = fromᵀ, with zeros up to a multiple of the chunk in each row of `to`.
  void (*transpose)(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to,
                    int64_t to_stride);
  // to [rows, columns] = from, with zeros up to a multiple of the chunk.
  void (*copy)(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride);
  // With e = exp((x − largest) · scale), largest that of x: x = e where words ≥ threshold, else 0. `words`
  // may be null: nothing is removed. Returns largest and the sum of all e. A NaN makes the sum NaN. Both rows
  // have room for whole chunks.
  ScoreSum<T> (*softmax_row)(T* x, int64_t n, T scale, const uint32_t* words, uint32_t threshold);
  // p = exp((x − largest) · scale) / sum, m = `kept` where words ≥ threshold, else 0:
  //   dx = p (m dx − delta) scale,   x = m p
  // where delta, if null, is Σ p m dx.
  void (*softmax_backward_row)(T* x, T* dx, int64_t n, T scale, ScoreSum<T> sum, const T* delta,
                               const uint32_t* words, uint32_t threshold, T kept);
};

// The table for the instruction set in use. T: float, double.
template <class T>
const AttentionKernels<T>& attention_kernels();

}  // namespace bertie
