// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/attention.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

// A tile of C is held in registers: 24 of 32, or 12 of 16; narrow ones are taller, since fewer than 8 sums
// under way leave the multipliers waiting.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64, tile_vectors = 4, tile_sums = 24;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, tile_vectors = 2, tile_sums = 12;
#else
constexpr int vector_bytes = 16, tile_vectors = 2, tile_sums = 12;
#endif
constexpr int tile_rows(int vectors) { return tile_sums / vectors < 12 ? tile_sums / vectors : 12; }
constexpr int chunk = attention_chunk;

template <class T>
using Vector __attribute__((vector_size(vector_bytes))) = T;
template <class T>
constexpr int lanes_of = vector_bytes / sizeof(T);

template <class T>
inline Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class T, class V>
inline void store(T* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

// What a tile asks the caches for: the next `rows` rows of A, or its share of what the caller reads next.
enum class Fetch { nothing, rows_of_a, then_read };

// `rows` rows from m on, `vectors` vectors from column n on.
template <class T, int rows, int vectors, bool transposed, Fetch fetch>
void tile(const SmallProduct<T>& p, int64_t m, int64_t n) {
  constexpr int width = lanes_of<T>;
  int64_t a_row = transposed ? 1 : p.a_row, a_column = transposed ? p.a_column : 1;
  const T *a = p.a + m * a_row, *b = p.b + n;
  T* c = p.c + m * p.c_stride + n;
  Vector<T> sums[rows][vectors] = {};
  for (int64_t k = 0, end; k < p.K; k = end) {
    end = p.K;
    constexpr int64_t line = 64 / sizeof(T);
    if constexpr (fetch != Fetch::nothing) end = p.K - k < line ? p.K : k + line;
    if constexpr (fetch == Fetch::rows_of_a)
#pragma GCC unroll 12
      for (int row = 0; row < rows; ++row) __builtin_prefetch(a + (rows + row) * a_row);
    if constexpr (fetch == Fetch::then_read)
      for (int64_t i = (m * p.K + rows * k) * p.N / p.M, last = (m * p.K + rows * end) * p.N / p.M; i < last;
           i += line)
        __builtin_prefetch(p.then_read + i, 0, 2);
    for (int64_t i = k; i < end; ++i, a += a_column, b += p.b_stride) {
      Vector<T> factor[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) factor[v] = load(b + v * width);
#pragma GCC unroll 12
      for (int row = 0; row < rows; ++row)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sums[row][v] += a[row * a_row] * factor[v];
    }
  }
  int64_t columns = p.N - n < vectors * width ? p.N - n : vectors * width;
#pragma GCC unroll 12
  for (int row = 0; row < rows; ++row, c += p.c_stride) {
    if (columns == vectors * width) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v)
        store(c + v * width, p.accumulate ? load(c + v * width) + sums[row][v] : sums[row][v]);
    } else {
      T all[vectors * width];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) store(all + v * width, sums[row][v]);
      for (int64_t i = 0; i < columns; ++i) c[i] = p.accumulate ? c[i] + all[i] : all[i];
    }
  }
}

template <class T, int vectors, bool transposed, Fetch fetch, int rows = tile_rows(vectors)>
inline void column_of_tiles(const SmallProduct<T>& p, int64_t m, int64_t n) {
  for (; m + rows <= p.M; m += rows) tile<T, rows, vectors, transposed, fetch>(p, m, n);
  if constexpr (rows > 1) column_of_tiles<T, vectors, transposed, fetch, rows - 1>(p, m, n);
}

template <class T, bool transposed, Fetch fetch, int vectors = tile_vectors>
inline void all_tiles(const SmallProduct<T>& p, int64_t n) {
  constexpr int width = vectors * lanes_of<T>;
  int64_t end = (p.N + lanes_of<T> - 1) / lanes_of<T> * lanes_of<T>;
  for (; n + width <= end; n += width) column_of_tiles<T, vectors, transposed, fetch>(p, 0, n);
  if constexpr (vectors > 1) all_tiles<T, transposed, fetch, vectors - 1>(p, n);
}

template <class T>
void multiply(const SmallProduct<T>& p) {
  if (p.a_column != 1)
    all_tiles<T, true, Fetch::nothing>(p, 0);
  else if (p.fetch_rows)
    all_tiles<T, false, Fetch::rows_of_a>(p, 0);
  else if (p.then_read)
    all_tiles<T, false, Fetch::then_read>(p, 0);
  else
    all_tiles<T, false, Fetch::nothing>(p, 0);
}

template <class T>
void copy(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  for (int64_t row = 0; row < rows; ++row, from += from_stride, to += to_stride) {
    int64_t i = 0;
    for (; i + chunk <= columns; i += chunk)
      for (int lane = 0; lane < chunk; ++lane) to[i + lane] = from[i + lane];
    for (; i < columns; ++i) to[i] = from[i];
    for (; i % chunk != 0; ++i) to[i] = 0;
  }
}

// Rounds of interleaving the first half of the rows with the second transpose a square.
template <class T>
inline void transpose_square(Vector<T>* rows) {
  constexpr int width = lanes_of<T>;
  using Index = decltype(rows[0] == rows[0]);
  Index low, high;
  for (int i = 0; i < width; ++i) {
    low[i] = i / 2 + (i % 2) * width;
    high[i] = low[i] + width / 2;
  }
#pragma GCC unroll 4
  for (int round = 1; round < width; round *= 2) {
    Vector<T> next[width];
#pragma GCC unroll 16
    for (int i = 0; i < width / 2; ++i) {
      next[2 * i] = __builtin_shuffle(rows[i], rows[i + width / 2], low);
      next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + width / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) rows[i] = next[i];
  }
}

template <class T>
void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int width = lanes_of<T>;
  int64_t end = (rows + chunk - 1) / chunk * chunk;
  for (int64_t row = 0; row < end; row += width) {
    const T* block = from + row * from_stride;
    int64_t column = 0;
    for (; column + width <= columns; column += width) {
      Vector<T> square[width];
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i)
        square[i] = row + i < rows ? load(block + i * from_stride + column) : Vector<T>{};
      transpose_square<T>(square);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) store(to + (column + i) * to_stride + row, square[i]);
    }
    for (; column < columns; ++column)
      for (int i = 0; i < width; ++i)
        to[column * to_stride + row + i] = row + i < rows ? block[i * from_stride + column] : 0;
  }
}

template <class T, bool drops>
ScoreSum<T> softmax_row(T* x, int64_t n, T scale, const uint32_t* words, uint32_t threshold) {
  const T infinity = __builtin_inf();
  if (int64_t whole = n / chunk * chunk; whole < n)  // what follows the row becomes 0
    for (int lane = 0; lane < chunk; ++lane) x[whole + lane] = lane < n - whole ? x[whole + lane] : -infinity;

  constexpr int width = lanes_of<T>, vectors = chunk / width;
  auto larger = [](auto a, auto b) { return b > a ? b : a; };  // a where b is NaN
  Vector<T> largest[vectors], sums[vectors] = {};
  T all[chunk];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) largest[v] = Vector<T>{} - infinity;
  for (int64_t i = 0; i < n; i += chunk)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) largest[v] = larger(largest[v], load(x + i + v * width));
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) store(all + v * width, largest[v]);
  T highest = pairwise(all, larger);

  for (int64_t i = 0; i < n; i += chunk) {
    T e[chunk];
    for (int lane = 0; lane < chunk; ++lane) {
      e[lane] = exponential_or_zero((x[i + lane] - highest) * scale);
      x[i + lane] = !drops || words[i + lane] >= threshold ? e[lane] : 0;
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sums[v] += load(e + v * width);
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) store(all + v * width, sums[v]);
  return {highest, pairwise(all, Plus())};
}

template <class T>
ScoreSum<T> softmax_row(T* x, int64_t n, T scale, const uint32_t* words, uint32_t threshold) {
  return (words ? softmax_row<T, true> : softmax_row<T, false>)(x, n, scale, words, threshold);
}

template <class T, bool drops>
T delta_of(const T* x, const T* dx, int64_t n, T scale, ScoreSum<T> sum, const uint32_t* words,
           uint32_t threshold, T kept) {
  return sum_over<T>(n,
                     [=](int64_t i) {
                       T e = exponential_or_zero((x[i] - sum.largest) * scale);
                       return !drops || words[i] >= threshold ? e * dx[i] : T(0);
                     }) *
         (drops ? kept : T(1)) / sum.sum;
}

template <class T, bool drops>
void softmax_backward_row(T* x, T* dx, int64_t n, T scale, ScoreSum<T> sum, const T* given,
                          const uint32_t* words, uint32_t threshold, T kept) {
  T largest = sum.largest, share = T(1) / sum.sum;
  T delta = given ? *given : delta_of<T, drops>(x, dx, n, scale, sum, words, threshold, kept);
  for (int64_t i = 0; i < n; i += chunk)
    for (int lane = 0; lane < chunk; ++lane) {
      T p = exponential_or_zero((x[i + lane] - largest) * scale) * share;
      T m = drops ? (words[i + lane] >= threshold ? kept : 0) : T(1);
      dx[i + lane] = p * (m * dx[i + lane] - delta) * scale;
      x[i + lane] = m * p;
    }
}

template <class T>
void softmax_backward_row(T* x, T* dx, int64_t n, T scale, ScoreSum<T> sum, const T* delta,
                          const uint32_t* words, uint32_t threshold, T kept) {
  (words ? softmax_backward_row<T, true> : softmax_backward_row<T, false>)(x, dx, n, scale, sum, delta, words,
                                                                           threshold, kept);
}

template <class T>
constexpr AttentionKernels<T> table() {
  constexpr int64_t tile_columns = tile_vectors * lanes_of<T>;
  return {.panel_columns = tile_columns < chunk ? chunk : tile_columns,
          .multiply = multiply<T>,
          .transpose = transpose<T>,
          .copy = copy<T>,
          .softmax_row = softmax_row<T>,
          .softmax_backward_row = softmax_backward_row<T>};
}

}  // namespace

extern const AttentionKernels<float> attention_f32;
extern const AttentionKernels<double> attention_f64;
const AttentionKernels<float> attention_f32 = table<float>();
const AttentionKernels<double> attention_f64 = table<double>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
