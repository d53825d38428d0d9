#include "bertie/ops/gemm.h"

#include <algorithm>
#include <limits>

#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm_call.h"

namespace bertie {
namespace {

template <class T>
void check_factor(const char* which, const Factor<T>& x, int64_t rows, int64_t columns) {
  int64_t row = x.transposed ? rows : columns;
  BERTIE_CHECK(x.stride >= row, "gemm", "rows must not overlap: {} has rows of {} elements and stride {}",
               which, row, x.stride);
  BERTIE_CHECK(x.stride <= std::numeric_limits<int32_t>::max(), "gemm",
               "strides must be below 2^31: {} has {}", which, x.stride);
  BERTIE_CHECK(x.data || rows == 0 || columns == 0, "gemm", "{} has no data", which);
}

template <class T, class R>
void check_product(const Product<T, R>& p) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();  // the libraries count in 32 bits
  for (int64_t extent : {p.M, p.N, p.K})
    BERTIE_CHECK(extent >= 0 && extent <= most, "gemm", "extents must be 0 … {}: M = {}, N = {}, K = {}",
                 +most, p.M, p.N, p.K);
  BERTIE_CHECK(p.batch >= 0, "gemm", "a batch can't be negative, got {}", p.batch);
  check_factor("A", p.a, p.M, p.K);
  check_factor("B", p.b, p.K, p.N);
  check_factor("C", Factor<R>{p.c, p.c_stride}, p.M, p.N);
  BERTIE_CHECK(!p.bias || p.beta == 0, "gemm", "a product takes either a bias or beta, got beta = {}",
               p.beta);
  constexpr bool rounds = std::is_same_v<R, bfloat16>;
  BERTIE_CHECK(!rounds || p.beta == 0, "gemm", "a product that is rounded can't be added to C, got beta = {}",
               p.beta);
}

// A rectangle of C, of one matrix of the batch, as a product of its own.
template <class T, class R>
Product<T, R> part(const Product<T, R>& p, int64_t index, int64_t row, int64_t rows, int64_t column,
                   int64_t columns) {
  Product<T, R> t = p;
  t.M = std::min(rows, p.M - row);
  t.N = std::min(columns, p.N - column);
  t.a.data += index * p.a.batch_stride + row * (p.a.transposed ? 1 : p.a.stride);
  t.b.data += index * p.b.batch_stride + column * (p.b.transposed ? p.b.stride : 1);
  t.c += index * p.c_batch_stride + row * p.c_stride + column;
  if (p.bias) t.bias += column;
  return t;
}

template <class T, class R>
GemmBackend backend_for(const Product<T, R>& p) {
  return gemm_backend(dtype_of<T>(), p.M, p.N, p.K, p.a.transposed ? p.a.stride : 1,
                      p.b.transposed ? 1 : p.b.stride);
}

int64_t parts(int64_t extent, int64_t size) { return (extent + size - 1) / size; }

struct Tile {
  int64_t rows, columns;
};

// Large tiles, above all tall ones, spend less on packing their factors; many tiles keep many threads busy to
// the end; and none should be shorter than waking a thread takes. Two tiles one below the other pack the same
// part of B twice, which for up to 128 rows costs more than it brings (base on one text of 128 tokens: a
// tenth). Below 128 columns oneDNN doesn't pack a transposed B, which halves its speed with AVX-512.
// Multiples of 8 rows and 48 columns suit the libraries' inner kernels.
Tile tile_of(int64_t M, int64_t N, int64_t K, bool b_transposed) {
  constexpr int64_t wanted_tiles = 8, least_work = int64_t{1} << 21, least_rows = 128;
  const int64_t least_columns = b_transposed ? 128 : 64;
  int64_t rows = 512, columns = 384;
  auto work = [&] { return std::min(rows, M) * std::min(columns, N) * K; };
  while (work() < least_work && rows < M) rows *= 2;
  while (work() < least_work && columns < N) columns *= 2;
  rows = std::min(rows, M);
  columns = std::min(columns, N);
  while (parts(M, rows) * parts(N, columns) < wanted_tiles && work() >= 2 * least_work) {
    if (columns >= rows && columns >= 2 * least_columns)
      columns /= 2;
    else if (rows >= 2 * least_rows)
      rows /= 2;
    else
      break;
  }
  auto even = [](int64_t extent, int64_t size, int64_t multiple) {
    int64_t share = parts(extent, parts(extent, size));
    return std::min(extent, parts(share, multiple) * multiple);
  };
  return {even(M, rows, 8), even(N, columns, columns > 256 ? 48 : 16)};
}

// How many rows of a symmetric product are computed at a time, up to the diagonal: of few rows little is
// computed twice, of many the other factor is packed less often. Of 24 to 128 (256 to 768 rows of f32 and
// bf16, AVX-512) 48 and 64 take the least time.
int64_t symmetric_rows(int64_t n) {
  constexpr int64_t most = 64;
  return parts(parts(n, parts(n, most)), 8) * 8;
}

// matrix[column …][row …] ← the transposed matrix[row …][column …]
template <class R>
void mirror(R* matrix, int64_t stride, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  constexpr int64_t square = 16;  // so that what is read and written stays in the cache
  for (int64_t i0 = row; i0 < row + rows; i0 += square)
    for (int64_t j0 = column; j0 < column + columns; j0 += square)
      for (int64_t j = j0; j < std::min(j0 + square, column + columns); ++j)
        for (int64_t i = i0; i < std::min(i0 + square, row + rows); ++i)
          matrix[j * stride + i] = matrix[i * stride + j];
}

constexpr int64_t least_work = int64_t{1} << 20;  // of a task that holds several small products

}  // namespace

template <class T, class R>
void gemm(const Product<T, R>& p) {
  check_product(p);
  if (p.batch == 0 || p.M == 0 || p.N == 0) return;
  GemmBackend backend = backend_for(p);
  Tile tile = tile_of(p.M, p.N, p.K, p.b.transposed);
  int64_t down = parts(p.M, tile.rows), across = parts(p.N, tile.columns);
  int64_t grain = 1 + least_work / (tile.rows * tile.columns * (p.K + 1));
  parallel_ranges(p.batch * down * across, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      gemm_call(backend, part(p, i / (down * across), i / across % down * tile.rows, tile.rows,
                              i % across * tile.columns, tile.columns));
  });
}

template <class T>
void symmetric_gemm(const Product<T>& p) {
  check_product(p);
  BERTIE_CHECK(p.M == p.N && !p.bias && p.beta == 0, "gemm",
               "a symmetric product has as many rows as columns, no bias and beta = 0, got {} by {}, {}, {}",
               p.M, p.N, p.bias ? "a bias" : "no bias", p.beta);
  if (p.batch == 0 || p.M == 0) return;
  GemmBackend backend = backend_for(p);
  int64_t rows = symmetric_rows(p.M), down = parts(p.M, rows);
  int64_t grain = 1 + least_work / (rows * p.M * (p.K + 1));
  parallel_ranges(p.batch * down, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t index = task / down, row = (down - 1 - task % down) * rows;  // the longest first
      Product<T> strip = part(p, index, row, rows, 0, row + rows);
      gemm_call(backend, strip);
      mirror(p.c + index * p.c_batch_stride, p.c_stride, row, strip.M, 0, row);
    }
  });
}

template void gemm(const Product<float>&);
template void symmetric_gemm(const Product<float>&);
template void gemm(const Product<double>&);
template void symmetric_gemm(const Product<double>&);
template void gemm(const Product<bfloat16>&);
template void symmetric_gemm(const Product<bfloat16>&);
template void gemm(const Product<bfloat16, float>&);

}  // namespace bertie
