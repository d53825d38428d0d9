#include "bertie/ops/kernels/packed_product.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

// No *.kernel.cpp: those are compiled for instruction sets as a whole, of which these are extensions. Each
// function here names what it may use, and nothing else in this file does.
namespace bertie {
namespace {

// The textbook's.
template <class Block>
void plain(const Block& b) {
  constexpr int64_t together = 4 / sizeof(*b.x);  // numbers of a column side by side
  for (int64_t row = 0; row < b.rows; ++row) {
    const auto* x = b.x + row * b.x_stride;
    for (int64_t column = 0; column < block_columns; ++column) {
      const auto* w =
          b.w + column / panel_columns * panel_columns * b.depth + column % panel_columns * together;
      std::remove_reference_t<decltype(*b.sums)> sum = 0;
      for (int64_t k = 0; k < b.depth; k += together, w += panel_columns * together)
        for (int64_t i = 0; i < together; ++i) sum += x[k + i] * w[i];
      b.sums[row * block_columns + column] = sum;
    }
  }
}

#ifdef __x86_64__
int32_t four_bytes(const void* x) {
  int32_t bytes;
  std::memcpy(&bytes, x, sizeof bytes);
  return bytes;
}

// Sums of some rows, from `row` on, with some panels. They are to be registers. That GCC 12 sees only if the
// last loop over them is unrolled early; else each step of the loop over k stores all of them.
template <class Block>
using RowsLoop = void (*)(const Block& b, int64_t row, int64_t panel);

// loops[r − 1] is for r rows, and all for `panels` panels.
template <int panels, class Block, size_t most_rows>
void by_rows(const Block& b, const std::array<RowsLoop<Block>, most_rows>& loops) {
  for (int64_t panel = 0; panel < block_columns / panel_columns; panel += panels)
    for (int64_t row = 0; row < b.rows; row += static_cast<int64_t>(most_rows)) {
      int64_t count = std::min<int64_t>(b.rows - row, most_rows);
      loops[count - 1](b, row, panel);
    }
}

// No product of u8 and s8 that can't overflow: both are widened to 16 bits, of which pairs are multiplied and
// added. A vector holds the quartets of four columns, and two sums of each.
template <int rows>
__attribute__((target("avx2"))) void rows_avx2(const Int8Block& b, int64_t row, int64_t panel) {
  constexpr int vectors = 4;
  const int8_t* w = b.w + panel * panel_columns * b.depth;
  const uint8_t* x = b.x + row * b.x_stride;
  __m256i sums[rows][vectors] = {};
  for (int64_t k = 0; k < b.depth; k += int8_together, w += panel_columns * int8_together) {
    __m256i columns[vectors];
    for (int v = 0; v < vectors; ++v)
      columns[v] = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w) + v));
    for (int r = 0; r < rows; ++r) {
      __m256i numbers = _mm256_cvtepu8_epi16(_mm_set1_epi32(four_bytes(x + r * b.x_stride + k)));
      for (int v = 0; v < vectors; ++v)
        sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(numbers, columns[v]));
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    int32_t* out = b.sums + (row + r) * block_columns + panel * panel_columns;
    for (int v = 0; v < vectors; v += 2) {
      __m256i pairs = _mm256_hadd_epi32(sums[r][v], sums[r][v + 1]);  // columns 0 1 4 5 2 3 6 7
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 4 * v), _mm256_permute4x64_epi64(pairs, 0xD8));
    }
  }
}

template <int rows>
__attribute__((target("avx2,avxvnni"))) void rows_avx_vnni(const Int8Block& b, int64_t row, int64_t panel) {
  constexpr int panels = 2, vectors = 2 * panels;
  const int8_t* w = b.w + panel * panel_columns * b.depth;
  const uint8_t* x = b.x + row * b.x_stride;
  __m256i sums[rows][vectors] = {};
  for (int64_t k = 0; k < b.depth; k += int8_together, w += panel_columns * int8_together) {
    __m256i quartets[rows];
    for (int r = 0; r < rows; ++r) quartets[r] = _mm256_set1_epi32(four_bytes(x + r * b.x_stride + k));
    for (int v = 0; v < vectors; ++v) {
      const int8_t* from = w + v / 2 * panel_columns * b.depth + v % 2 * 32;
      __m256i columns = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      for (int r = 0; r < rows; ++r) sums[r][v] = _mm256_dpbusd_avx_epi32(sums[r][v], quartets[r], columns);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      _mm256_storeu_si256(
          reinterpret_cast<__m256i*>(b.sums + (row + r) * block_columns + panel * panel_columns + 8 * v),
          sums[r][v]);
}

template <int rows>
__attribute__((target("avx512f,avx512vnni"))) void rows_avx512_vnni(const Int8Block& b, int64_t row,
                                                                    int64_t panel) {
  constexpr int panels = 2;
  const int8_t* w = b.w + panel * panel_columns * b.depth;
  const uint8_t* x = b.x + row * b.x_stride;
  __m512i sums[rows][panels] = {};
  for (int64_t k = 0; k < b.depth; k += int8_together, w += panel_columns * int8_together) {
    __m512i columns[panels];
    for (int p = 0; p < panels; ++p) columns[p] = _mm512_loadu_si512(w + p * panel_columns * b.depth);
    for (int r = 0; r < rows; ++r) {
      __m512i numbers = _mm512_set1_epi32(four_bytes(x + r * b.x_stride + k));
      for (int p = 0; p < panels; ++p) sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], numbers, columns[p]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
    for (int p = 0; p < panels; ++p)
      _mm512_storeu_si512(b.sums + (row + r) * block_columns + (panel + p) * panel_columns, sums[r][p]);
}

template <int rows>
__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void rows_avx512_bf16(const Bf16Block& b,
                                                                                      int64_t row,
                                                                                      int64_t panel) {
  constexpr int panels = 2;
  const bfloat16* w = b.w + panel * panel_columns * b.depth;
  const bfloat16* x = b.x + row * b.x_stride;
  __m512 sums[rows][panels] = {};
  for (int64_t k = 0; k < b.depth; k += bf16_together, w += panel_columns * bf16_together) {
    __m512bh columns[panels];
    for (int p = 0; p < panels; ++p)
      columns[p] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + p * panel_columns * b.depth));
    for (int r = 0; r < rows; ++r) {
      __m512bh numbers = reinterpret_cast<__m512bh>(_mm512_set1_epi32(four_bytes(x + r * b.x_stride + k)));
      for (int p = 0; p < panels; ++p) sums[r][p] = _mm512_dpbf16_ps(sums[r][p], numbers, columns[p]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
    for (int p = 0; p < panels; ++p)
      _mm512_storeu_ps(b.sums + (row + r) * block_columns + (panel + p) * panel_columns, sums[r][p]);
}

// As ldtilecfg reads it.
struct alignas(64) TileConfig {
  uint8_t palette = 0, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Two by two tiles of sums at a time: each factor that is loaded serves twice. For both types: a row of a
// tile is 64 bytes of either, and sums are four bytes long.
template <class Block>
__attribute__((target("amx-tile,amx-int8,amx-bf16"))) void amx(const Block& b) {
  constexpr bool is_bf16 = std::is_same_v<Block, Bf16Block>;
  constexpr int64_t size = sizeof(*b.x), tile_rows = 16, row_bytes = depth_bytes,
                    sums_stride = block_columns * 4;
  TileConfig before, tiles;
  _tile_storeconfig(&before);
  tiles.palette = 1;
  for (int i = 0; i < 8; ++i) {
    tiles.row_bytes[i] = row_bytes;
    tiles.rows[i] = tile_rows;
  }
  _tile_loadconfig(&tiles);
  // In whole tiles, of which the last may have rows that nobody wants.
  alignas(64) std::remove_reference_t<decltype(*b.sums)> sums[block_rows * block_columns];
  bool has_lower = b.rows > tile_rows;
  int64_t bytes = b.depth * size, x_stride = b.x_stride * size;
  for (int64_t panel = 0; panel < block_columns / panel_columns; panel += 2) {
    const char *left = reinterpret_cast<const char*>(b.w) + panel * panel_columns * bytes,
               *right = left + panel_columns * bytes;
    const char *upper = reinterpret_cast<const char*>(b.x), *lower = upper + tile_rows * x_stride;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < bytes; k += row_bytes) {
      // The weight comes from memory, a whole tile at once: unless those after the next are asked for by now,
      // it all takes a tenth longer.
      const char *next_left = left + (k + 2 * row_bytes) * panel_columns,
                 *next_right = right + (k + 2 * row_bytes) * panel_columns;
      for (int64_t row = 0; row < tile_rows; ++row) {
        _mm_prefetch(next_left + row * row_bytes, _MM_HINT_T0);
        _mm_prefetch(next_right + row * row_bytes, _MM_HINT_T0);
      }
      _tile_loadd(4, upper + k, x_stride);
      _tile_loadd(6, left + k * panel_columns, row_bytes);
      _tile_loadd(7, right + k * panel_columns, row_bytes);
      if constexpr (is_bf16) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
      } else {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
      }
      if (!has_lower) continue;
      _tile_loadd(5, lower + k, x_stride);
      if constexpr (is_bf16) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      } else {
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
      }
    }
    auto* out = sums + panel * panel_columns;
    _tile_stored(0, out, sums_stride);
    _tile_stored(1, out + panel_columns, sums_stride);
    if (!has_lower) continue;
    _tile_stored(2, out + tile_rows * block_columns, sums_stride);
    _tile_stored(3, out + tile_rows * block_columns + panel_columns, sums_stride);
  }
  _tile_loadconfig(&before);
  std::memcpy(b.sums, sums, b.rows * sums_stride);
}
#endif

}  // namespace

// Rows at a time: as many sums as the registers hold beside the factors.
Int8Loop int8_loop(Int8Instructions instructions) {
  switch (instructions) {
#ifdef __x86_64__
    case Int8Instructions::avx2:
      return [](const Int8Block& b) { by_rows<1, Int8Block, 2>(b, {rows_avx2<1>, rows_avx2<2>}); };
    case Int8Instructions::avx_vnni:
      return [](const Int8Block& b) {
        by_rows<2, Int8Block, 3>(b, {rows_avx_vnni<1>, rows_avx_vnni<2>, rows_avx_vnni<3>});
      };
    case Int8Instructions::avx512_vnni:
      return [](const Int8Block& b) {
        by_rows<2, Int8Block, 8>(
            b, {rows_avx512_vnni<1>, rows_avx512_vnni<2>, rows_avx512_vnni<3>, rows_avx512_vnni<4>,
                rows_avx512_vnni<5>, rows_avx512_vnni<6>, rows_avx512_vnni<7>, rows_avx512_vnni<8>});
      };
    case Int8Instructions::amx:
      return amx<Int8Block>;
#endif
    default:
      return plain;
  }
}

Bf16Loop bf16_loop(Bf16Instructions instructions) {
  switch (instructions) {
#ifdef __x86_64__
    case Bf16Instructions::avx512_bf16:
      return [](const Bf16Block& b) {
        by_rows<2, Bf16Block, 8>(
            b, {rows_avx512_bf16<1>, rows_avx512_bf16<2>, rows_avx512_bf16<3>, rows_avx512_bf16<4>,
                rows_avx512_bf16<5>, rows_avx512_bf16<6>, rows_avx512_bf16<7>, rows_avx512_bf16<8>});
      };
    case Bf16Instructions::amx:
      return amx<Bf16Block>;
#endif
    default:
      return plain;
  }
}

}  // namespace bertie
