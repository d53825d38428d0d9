// Products with packed weights in int8 and bf16: what serves them, and that each gives the sums.
#include "bertie/ops/kernels/packed_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

// Factors with what loops want around them: x has rows up to the next multiple of 16, and what lies behind
// each row and behind the last one is none of the product.
template <class Block>
class PackedFactors {
 public:
  using X = std::remove_cvref_t<decltype(*Block::x)>;
  using W = std::remove_cvref_t<decltype(*Block::w)>;
  using Sum = std::remove_cvref_t<decltype(*Block::sums)>;
  static constexpr bool is_exact = std::is_same_v<Sum, int32_t>;
  static constexpr int64_t together = 4 / sizeof(X);
  static constexpr Sum unwritten = 0x5A5A5A00;

  PackedFactors(int64_t rows, int64_t depth, int64_t x_stride, uint64_t seed)
      : rows_(rows), depth_(depth), x_stride_(x_stride), x_((rows + 15) / 16 * 16 * x_stride, not_of_it()) {
    w_.resize(block_columns * depth);
    Random random(seed);
    auto number = [&](double least, double most) {
      return is_exact ? least + std::floor(random.uniform() * (most - least + 1)) : random.normal();
    };
    fill([&](int64_t, int64_t) { return number(0, 255); },
         [&](int64_t, int64_t) { return number(-127, 127); });
  }

  template <class XOf, class WOf>
  void fill(XOf x_of, WOf w_of) {
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t k = 0; k < depth_; ++k) x_[row * x_stride_ + k] = rounded_to<X>(x_of(row, k));
    for (int64_t column = 0; column < block_columns; ++column)
      for (int64_t k = 0; k < depth_; ++k) w(column, k) = rounded_to<W>(w_of(column, k));
    exact_.clear();
    bounds_.clear();
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t column = 0; column < block_columns; ++column) {
        double exact = 0, sizes = 0;
        for (int64_t k = 0; k < depth_; ++k) {
          double term = static_cast<double>(x_[row * x_stride_ + k]) * static_cast<double>(w(column, k));
          exact += term;
          sizes += std::abs(term);
        }
        exact_.push_back(exact);
        bounds_.push_back(is_exact ? 0 : static_cast<double>(depth_) * 0x1p-24 * sizes);
      }
  }

  // What a loop leaves in memory for one row more.
  std::vector<Sum> by(void (*loop)(const Block&)) const {
    std::vector<Sum> sums((rows_ + 1) * block_columns, unwritten);
    loop({rows_, depth_, x_.data(), x_stride_, w_.data(), sums.data()});
    return sums;
  }

  // Sums of integers are exact. Those in f32 are off by a rounding of each term's size for each that is
  // added, in whatever order.
  void expect_sums(void (*loop)(const Block&), const char* name) const {
    std::vector<Sum> sums = by(loop);
    std::string what = fmt::format("{}, {} rows of {}, {} apart", name, rows_, depth_, x_stride_);
    for (int64_t i = 0; i < rows_ * block_columns; ++i)
      ASSERT_NEAR(sums[i], exact_[i], bounds_[i])
          << what << ": row " << i / block_columns << ", column " << i % block_columns;
    for (int64_t i = rows_ * block_columns; i < std::ssize(sums); ++i) ASSERT_EQ(sums[i], unwritten) << what;
  }

 private:
  static X not_of_it() {
    if constexpr (is_exact)
      return 201;
    else
      return std::numeric_limits<float>::quiet_NaN();
  }
  template <class T>
  static T rounded_to(double value) {
    if constexpr (is_exact)
      return static_cast<T>(value);
    else
      return static_cast<float>(value);
  }
  // [panels, depth / together, 16, together]
  W& w(int64_t column, int64_t k) {
    int64_t panel = column / panel_columns;
    return w_[((panel * (depth_ / together) + k / together) * panel_columns + column % panel_columns) *
                  together +
              k % together];
  }

  int64_t rows_, depth_, x_stride_;
  std::vector<X> x_;
  std::vector<W> w_;
  std::vector<double> exact_, bounds_;
};
using Int8Factors = PackedFactors<Int8Block>;
using Bf16Factors = PackedFactors<Bf16Block>;

std::vector<Bf16Instructions> available_bf16_instructions() {
  std::vector<Bf16Instructions> available{Bf16Instructions::none};
  for (Bf16Instructions each : {Bf16Instructions::avx512_bf16, Bf16Instructions::amx})
    if (each <= bf16_instructions()) available.push_back(each);
  return available;
}

TEST(PackedProduct, EveryInstructionSetGivesTheSums) {
  for (int64_t rows = 1; rows <= block_rows; ++rows)
    for (int64_t depth : {64, 128, 768})
      for (int64_t x_stride : {depth, depth + 64, depth + 4}) {
        Int8Factors int8(rows, depth, x_stride, static_cast<uint64_t>(rows));
        for (Int8Instructions each : available_int8_instructions())
          ASSERT_NO_FATAL_FAILURE(int8.expect_sums(int8_loop(each), name(each)));
        Bf16Factors bf16(rows, depth / 2, x_stride, static_cast<uint64_t>(rows));
        for (Bf16Instructions each : available_bf16_instructions())
          ASSERT_NO_FATAL_FAILURE(bf16.expect_sums(bf16_loop(each), name(each)));
      }
}

// At the largest depth that a weight may have; in 16 bits two such products would overflow.
TEST(PackedProduct, TheLargestSumsDontOverflow) {
  Int8Factors factors(3, 1 << 16, 1 << 16, 1);
  factors.fill([](int64_t row, int64_t) { return row == 1 ? 0 : 255; },
               [](int64_t column, int64_t k) {
                 return column % 3 == 2 && k % 2 ? 0 : column % 2 ? 127 : -127;
               });
  for (Int8Instructions each : available_int8_instructions()) {
    factors.expect_sums(int8_loop(each), name(each));
    std::vector<int32_t> sums = factors.by(int8_loop(each));
    EXPECT_EQ(sums[0], -255 * 127 * (1 << 16)) << name(each);
    EXPECT_EQ(sums[1], 255 * 127 * (1 << 16)) << name(each);
  }
}

// In whatever block it is.
TEST(PackedProduct, ARowsSumsAreTheSameBits) {
  for (Bf16Instructions each : available_bf16_instructions()) {
    for (int64_t rows = 2; rows <= block_rows; ++rows) {
      Bf16Factors factors(rows, 96, 96, 1);
      Random random(1);
      std::vector<double> row(96);
      for (double& value : row) value = random.normal();
      factors.fill([&](int64_t, int64_t k) { return row[k]; },
                   [](int64_t c, int64_t k) { return c - 0.1 * k; });
      std::vector<float> sums = factors.by(bf16_loop(each));
      for (int64_t i = block_columns; i < rows * block_columns; ++i)
        ASSERT_EQ(sums[i], sums[i % block_columns]) << name(each) << ", " << rows << " rows";
    }
  }
}

TEST(PackedProduct, NoDepthGivesZeros) {
  for (Int8Instructions each : available_int8_instructions())
    Int8Factors(17, 0, 64, 1).expect_sums(int8_loop(each), name(each));
  for (Bf16Instructions each : available_bf16_instructions())
    Bf16Factors(17, 0, 32, 1).expect_sums(bf16_loop(each), name(each));
}

#ifdef __x86_64__
struct alignas(64) SomeTiles {
  uint8_t bytes[64] = {};
};
__attribute__((target("amx-tile"))) void load_tiles(const SomeTiles& tiles) { _tile_loadconfig(&tiles); }
__attribute__((target("amx-tile"))) void store_tiles(SomeTiles& tiles) { _tile_storeconfig(&tiles); }
__attribute__((target("amx-tile"))) void release_tiles() { _tile_release(); }

// Else a library that has set them before would multiply what isn't there.
TEST(PackedProduct, TilesKeepTheirShape) {
  if (available_int8_instructions().back() != Int8Instructions::amx) GTEST_SKIP() << "no AMX";
  auto expect_shape_after = [](auto factors, auto loop) {
    SomeTiles tiles, after;
    tiles.bytes[0] = 1;        // the palette
    tiles.bytes[16 + 2] = 24;  // bytes of the second tile's rows
    tiles.bytes[48 + 1] = 5;   // its rows
    load_tiles(tiles);
    factors.by(loop);
    store_tiles(after);
    release_tiles();
    EXPECT_TRUE(std::equal(tiles.bytes, tiles.bytes + 64, after.bytes));
  };
  expect_shape_after(Int8Factors(20, 128, 128, 1), int8_loop(Int8Instructions::amx));
  expect_shape_after(Bf16Factors(20, 128, 128, 1), bf16_loop(Bf16Instructions::amx));
}
#endif

TEST(Int8Instructions, TheLastServesUnlessAnotherIsSet) {
  std::vector<Int8Instructions> available = available_int8_instructions();
  EXPECT_EQ(available.front(), Int8Instructions::plain);
  EXPECT_TRUE(std::is_sorted(available.begin(), available.end()));
  EXPECT_EQ(int8_instructions(), available.back());
  EXPECT_EQ(int8_products_gain(), available.back() >= Int8Instructions::avx_vnni);
  for (Int8Instructions each : {Int8Instructions::plain, Int8Instructions::avx2, Int8Instructions::avx_vnni,
                                Int8Instructions::avx512_vnni, Int8Instructions::amx}) {
    if (std::find(available.begin(), available.end(), each) != available.end()) {
      set_int8_instructions(each);
      EXPECT_EQ(int8_instructions(), each);
    } else {
      EXPECT_EQ(message_of([&] { set_int8_instructions(each); }),
                std::string("[int8] this machine has no ") + name(each));
    }
  }
  set_int8_instructions({});
  EXPECT_EQ(int8_instructions(), available.back());
}

[[noreturn]] void tell_int8_instructions() {
  for (Int8Instructions each : available_int8_instructions()) fmt::print(stderr, "{} ", name(each));
  fmt::print(stderr, "{} {}", int8_products_gain(),
             message_of([] { set_int8_instructions(Int8Instructions::amx); }));
  std::exit(0);
}

// They are read once, so each of these has a process of its own.
TEST(Int8Instructions, EnvironmentLowersThem) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr auto success = [](int status) { return status == 0; };
  const char* before = std::getenv("BERTIE_ISA");
  std::string kept = before ? before : "";
  bool has_avx2 = isa() >= Isa::avx2;
  ::setenv("BERTIE_ISA", "baseline", 1);
  EXPECT_EXIT(tell_int8_instructions(), success, "^none false \\[int8\\] this machine has no AMX");
  ::setenv("BERTIE_ISA", "avx2", 1);
  if (has_avx2) {
    EXPECT_EXIT(tell_int8_instructions(), success, "^none AVX2 false \\[int8\\] this machine has no AMX");
  }
  before ? ::setenv("BERTIE_ISA", kept.c_str(), 1) : ::unsetenv("BERTIE_ISA");
}

}  // namespace
}  // namespace bertie
