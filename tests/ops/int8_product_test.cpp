// Products of int8: what serves them, and that each gives exactly the sums.
#include "bertie/ops/kernels/int8_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

constexpr int32_t unwritten = 0x5A5A5A5A;

// Factors with what loops want around them: x has rows up to the next multiple of 16, and what lies behind
// each row and behind the last one is none of the product.
class Int8Factors {
 public:
  Int8Factors(int64_t rows, int64_t depth, int64_t x_stride, uint64_t seed)
      : rows_(rows), depth_(depth), x_stride_(x_stride), x_((rows + 15) / 16 * 16 * x_stride, 201) {
    w_.resize(int8_columns * depth);
    Random random(seed);
    fill([&](int64_t, int64_t) { return static_cast<int>(random.below(256)); },
         [&](int64_t, int64_t) { return static_cast<int>(random.below(255)) - 127; });
  }

  template <class X, class W>
  void fill(X x_of, W w_of) {
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t k = 0; k < depth_; ++k) x_[row * x_stride_ + k] = static_cast<uint8_t>(x_of(row, k));
    for (int64_t column = 0; column < int8_columns; ++column)
      for (int64_t k = 0; k < depth_; ++k) w(column, k) = static_cast<int8_t>(w_of(column, k));
  }

  std::vector<int32_t> exact() {
    std::vector<int32_t> sums;
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t column = 0; column < int8_columns; ++column) {
        int64_t sum = 0;
        for (int64_t k = 0; k < depth_; ++k) sum += int64_t{x_[row * x_stride_ + k]} * w(column, k);
        EXPECT_EQ(sum, static_cast<int32_t>(sum));
        sums.push_back(static_cast<int32_t>(sum));
      }
    return sums;
  }

  // What a loop leaves in memory for one row more.
  std::vector<int32_t> by(Int8Loop loop) const {
    std::vector<int32_t> sums((rows_ + 1) * int8_columns, unwritten);
    loop({rows_, depth_, x_.data(), x_stride_, w_.data(), sums.data()});
    return sums;
  }

  void expect_exact() {
    std::vector<int32_t> expected = exact();
    expected.resize((rows_ + 1) * int8_columns, unwritten);
    for (Int8Instructions each : available_int8_instructions())
      EXPECT_EQ(by(int8_loop(each)), expected)
          << name(each) << ", " << rows_ << " rows of " << depth_ << ", " << x_stride_ << " apart";
  }

 private:
  // [panels, depth / 4, 16, 4]
  int8_t& w(int64_t column, int64_t k) {
    int64_t panel = column / int8_panel, quartet = k / int8_quartet;
    return w_[((panel * (depth_ / int8_quartet) + quartet) * int8_panel + column % int8_panel) *
                  int8_quartet +
              k % int8_quartet];
  }

  int64_t rows_, depth_, x_stride_;
  std::vector<uint8_t> x_;
  std::vector<int8_t> w_;
};

TEST(Int8Product, EveryInstructionSetGivesTheSums) {
  for (int64_t depth : {64, 128, 768})
    for (int64_t rows = 1; rows <= int8_rows; ++rows)
      for (int64_t x_stride : {depth, depth + 64, depth + 4})
        Int8Factors(rows, depth, x_stride, static_cast<uint64_t>(rows)).expect_exact();
}

// At the largest depth that a weight may have; in 16 bits two such products would overflow.
TEST(Int8Product, TheLargestSumsDontOverflow) {
  Int8Factors factors(3, 1 << 16, 1 << 16, 1);
  factors.fill([](int64_t row, int64_t) { return row == 1 ? 0 : 255; },
               [](int64_t column, int64_t k) {
                 return column % 3 == 2 && k % 2 ? 0 : column % 2 ? 127 : -127;
               });
  factors.expect_exact();
  std::vector<int32_t> sums = factors.exact();
  EXPECT_EQ(sums[0], -255 * 127 * (1 << 16));
  EXPECT_EQ(sums[1], 255 * 127 * (1 << 16));
}

TEST(Int8Product, NoDepthGivesZeros) { Int8Factors(17, 0, 64, 1).expect_exact(); }

#ifdef __x86_64__
struct alignas(64) Int8TestTiles {
  uint8_t bytes[64] = {};
};
__attribute__((target("amx-tile"))) void load_tiles(const Int8TestTiles& tiles) { _tile_loadconfig(&tiles); }
__attribute__((target("amx-tile"))) void store_tiles(Int8TestTiles& tiles) { _tile_storeconfig(&tiles); }
__attribute__((target("amx-tile"))) void release_tiles() { _tile_release(); }

// Else a library that has set them before would multiply what isn't there.
TEST(Int8Product, TilesKeepTheirShape) {
  if (available_int8_instructions().back() != Int8Instructions::amx) GTEST_SKIP() << "no AMX";
  Int8TestTiles tiles, after;
  tiles.bytes[0] = 1;        // the palette
  tiles.bytes[16 + 2] = 24;  // bytes of the second tile's rows
  tiles.bytes[48 + 1] = 5;   // its rows
  load_tiles(tiles);
  Int8Factors factors(20, 128, 128, 1);
  std::vector<int32_t> sums = factors.by(int8_loop(Int8Instructions::amx));
  store_tiles(after);
  release_tiles();
  EXPECT_TRUE(std::equal(tiles.bytes, tiles.bytes + 64, after.bytes));
  sums.resize(20 * int8_columns);
  EXPECT_EQ(sums, factors.exact());
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
