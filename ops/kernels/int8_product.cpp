#include "bertie/ops/kernels/int8_product.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <array>
#include <cstring>
#include <utility>

// No *.kernel.cpp: those are compiled for instruction sets as a whole, of which these are extensions. Each
// function here names what it may use, and nothing else in this file does.
namespace bertie {
namespace {

void plain(const Int8Block& b) {
  for (int64_t row = 0; row < b.rows; ++row) {
    const uint8_t* x = b.x + row * b.x_stride;
    for (int64_t column = 0; column < int8_columns; ++column) {
      const int8_t* w = b.w + column / int8_panel * int8_panel * b.depth + column % int8_panel * int8_quartet;
      int32_t sum = 0;
      for (int64_t k = 0; k < b.depth; k += int8_quartet, w += int8_panel * int8_quartet)
        for (int64_t i = 0; i < int8_quartet; ++i) sum += x[k + i] * w[i];
      b.sums[row * int8_columns + column] = sum;
    }
  }
}

#ifdef __x86_64__
int32_t quartet_at(const uint8_t* x) {
  int32_t quartet;
  std::memcpy(&quartet, x, sizeof quartet);
  return quartet;
}

// Calls f<r>(block, first row, first panel) for `most_rows` rows at a time, r of them, and `panels` panels.
template <int most_rows, int panels, class Loops>
void by_rows(const Int8Block& b, const Loops& loops) {
  for (int64_t panel = 0; panel < int8_columns / int8_panel; panel += panels)
    for (int64_t row = 0; row < b.rows; row += most_rows) {
      int64_t count = b.rows - row < most_rows ? b.rows - row : most_rows;
      loops[count - 1](b, row, panel);
    }
}

using RowsLoop = void (*)(const Int8Block& b, int64_t row, int64_t panel);

// No product of u8 and s8 that can't overflow: both are widened to 16 bits, of which pairs are multiplied and
// added. A vector holds the quartets of four columns, and two sums of each.
template <int rows>
__attribute__((target("avx2"))) void rows_avx2(const Int8Block& b, int64_t row, int64_t panel) {
  constexpr int vectors = 4;
  const int8_t* w = b.w + panel * int8_panel * b.depth;
  const uint8_t* x = b.x + row * b.x_stride;
  __m256i sums[rows][vectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) sums[r][v] = _mm256_setzero_si256();
  for (int64_t k = 0; k < b.depth; k += int8_quartet, w += int8_panel * int8_quartet) {
    __m256i columns[vectors];
    for (int v = 0; v < vectors; ++v)
      columns[v] =
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w) + v));
    for (int r = 0; r < rows; ++r) {
      __m256i quartet = _mm256_cvtepu8_epi16(_mm_set1_epi32(quartet_at(x + r * b.x_stride + k)));
      for (int v = 0; v < vectors; ++v)
        sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(quartet, columns[v]));
    }
  }
  for (int r = 0; r < rows; ++r) {
    int32_t* out = b.sums + (row + r) * int8_columns + panel * int8_panel;
    for (int v = 0; v < vectors; v += 2) {
      __m256i pairs = _mm256_hadd_epi32(sums[r][v], sums[r][v + 1]);  // columns 0 1 4 5 2 3 6 7
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 4 * v), _mm256_permute4x64_epi64(pairs, 0xD8));
    }
  }
}

template <int rows>
__attribute__((target("avx2,avxvnni"))) void rows_avx_vnni(const Int8Block& b, int64_t row, int64_t panel) {
  constexpr int panels = 2, vectors = 2 * panels;
  const int8_t* w = b.w + panel * int8_panel * b.depth;
  const uint8_t* x = b.x + row * b.x_stride;
  __m256i sums[rows][vectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) sums[r][v] = _mm256_setzero_si256();
  for (int64_t k = 0; k < b.depth; k += int8_quartet, w += int8_panel * int8_quartet) {
    __m256i quartets[rows];
    for (int r = 0; r < rows; ++r) quartets[r] = _mm256_set1_epi32(quartet_at(x + r * b.x_stride + k));
    for (int v = 0; v < vectors; ++v) {
      const int8_t* from = w + v / 2 * int8_panel * b.depth + v % 2 * 32;
      __m256i columns = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      for (int r = 0; r < rows; ++r)
        sums[r][v] = _mm256_dpbusd_avx_epi32(sums[r][v], quartets[r], columns);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      _mm256_storeu_si256(
          reinterpret_cast<__m256i*>(b.sums + (row + r) * int8_columns + panel * int8_panel + 8 * v),
          sums[r][v]);
}

template <int rows>
__attribute__((target("avx512f,avx512vnni"))) void rows_avx512_vnni(const Int8Block& b, int64_t row,
                                                                    int64_t panel) {
  constexpr int panels = 2;
  const int8_t* w = b.w + panel * int8_panel * b.depth;
  const uint8_t* x = b.x + row * b.x_stride;
  __m512i sums[rows][panels];
  for (int r = 0; r < rows; ++r)
    for (int p = 0; p < panels; ++p) sums[r][p] = _mm512_setzero_si512();
  for (int64_t k = 0; k < b.depth; k += int8_quartet, w += int8_panel * int8_quartet) {
    __m512i columns[panels];
    for (int p = 0; p < panels; ++p) columns[p] = _mm512_loadu_si512(w + p * int8_panel * b.depth);
    for (int r = 0; r < rows; ++r) {
      __m512i quartet = _mm512_set1_epi32(quartet_at(x + r * b.x_stride + k));
      for (int p = 0; p < panels; ++p) sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], quartet, columns[p]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int p = 0; p < panels; ++p)
      _mm512_storeu_si512(b.sums + (row + r) * int8_columns + (panel + p) * int8_panel, sums[r][p]);
}

template <size_t... count>
void avx2(const Int8Block& b, std::index_sequence<count...>) {
  by_rows<sizeof...(count), 1>(b, std::array<RowsLoop, sizeof...(count)>{rows_avx2<count + 1>...});
}
template <size_t... count>
void avx_vnni(const Int8Block& b, std::index_sequence<count...>) {
  by_rows<sizeof...(count), 2>(b, std::array<RowsLoop, sizeof...(count)>{rows_avx_vnni<count + 1>...});
}
template <size_t... count>
void avx512_vnni(const Int8Block& b, std::index_sequence<count...>) {
  by_rows<sizeof...(count), 2>(b, std::array<RowsLoop, sizeof...(count)>{rows_avx512_vnni<count + 1>...});
}

// As ldtilecfg reads it.
struct alignas(64) TileConfig {
  uint8_t palette = 0, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Two by two tiles of sums at a time: each factor that is loaded serves twice.
__attribute__((target("amx-tile,amx-int8"))) void amx(const Int8Block& b) {
  TileConfig before, tiles;
  _tile_storeconfig(&before);
  tiles.palette = 1;
  for (int i = 0; i < 8; ++i) {
    tiles.row_bytes[i] = 64;
    tiles.rows[i] = 16;
  }
  _tile_loadconfig(&tiles);
  constexpr int64_t height = 16, stride = int8_columns * sizeof(int32_t);
  // In whole tiles, of which the last may have rows that nobody wants.
  alignas(64) int32_t sums[int8_rows * int8_columns];
  bool has_lower = b.rows > height;
  for (int64_t panel = 0; panel < int8_columns / int8_panel; panel += 2) {
    const int8_t *left = b.w + panel * int8_panel * b.depth, *right = left + int8_panel * b.depth;
    const uint8_t *upper = b.x, *lower = b.x + height * b.x_stride;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < b.depth; k += int8_depth) {
      for (int64_t line = 0; line < 16; ++line) {  // of the tiles that come after the next
        _mm_prefetch(reinterpret_cast<const char*>(left + (k + 2 * int8_depth) * int8_panel + 64 * line), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(right + (k + 2 * int8_depth) * int8_panel + 64 * line), _MM_HINT_T0);
      }
      _tile_loadd(4, upper + k, b.x_stride);
      _tile_loadd(6, left + k * int8_panel, 64);
      _tile_dpbusd(0, 4, 6);
      _tile_loadd(7, right + k * int8_panel, 64);
      _tile_dpbusd(1, 4, 7);
      if (!has_lower) continue;
      _tile_loadd(5, lower + k, b.x_stride);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
    int32_t* out = sums + panel * int8_panel;
    _tile_stored(0, out, stride);
    _tile_stored(1, out + int8_panel, stride);
    if (!has_lower) continue;
    _tile_stored(2, out + height * int8_columns, stride);
    _tile_stored(3, out + height * int8_columns + int8_panel, stride);
  }
  _tile_loadconfig(&before);
  std::memcpy(b.sums, sums, b.rows * stride);
}
#endif

}  // namespace

// Rows at a time: as many sums as the registers hold beside the factors.
Int8Loop int8_loop(Int8Instructions instructions) {
  switch (instructions) {
#ifdef __x86_64__
    case Int8Instructions::avx2:
      return [](const Int8Block& b) { avx2(b, std::make_index_sequence<2>()); };
    case Int8Instructions::avx_vnni:
      return [](const Int8Block& b) { avx_vnni(b, std::make_index_sequence<3>()); };
    case Int8Instructions::avx512_vnni:
      return [](const Int8Block& b) { avx512_vnni(b, std::make_index_sequence<8>()); };
    case Int8Instructions::amx:
      return amx;
#endif
    default:
      return plain;
  }
}

}  // namespace bertie
