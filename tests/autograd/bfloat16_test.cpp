// bfloat16: which number each float becomes, one by one, in the loops of every instruction set and in arrays.
#include "bertie/autograd/bfloat16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "bertie/autograd/accumulate.h"
#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/conversion_table.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/threads.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

constexpr uint32_t sign_bit = 0x80000000, infinity_bits = 0x7F800000;

uint16_t bits_of_rounded(float value) { return bfloat16(value).bits; }

bfloat16 from_bits(uint16_t bits) {
  bfloat16 x;
  x.bits = bits;
  return x;
}

// By what "the nearest" means, from the two neighbors' distances. The one beyond the largest is 2¹²⁸, and
// stands for infinity.
uint16_t nearest_bits(double value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  double x = std::abs(value);
  auto number = [](uint32_t bits) {
    return bits == infinity_bits >> 16 ? 0x1p128 : static_cast<double>(std::bit_cast<float>(bits << 16));
  };
  uint32_t below = 0, above = infinity_bits >> 16;
  if (x >= 0x1p128) return sign | static_cast<uint16_t>(above);
  while (above - below > 1) {
    uint32_t middle = (below + above) / 2;
    (number(middle) <= x ? below : above) = middle;
  }
  double to_below = x - number(below), to_above = number(above) - x;
  bool up = to_below == to_above ? below % 2 == 1 : to_above < to_below;
  return sign | static_cast<uint16_t>(up ? above : below);
}

// Every upper half with each of these lower ones: exact, the smallest and largest parts, middles, beside
// them.
std::vector<float> sweep() {
  std::vector<float> values;
  for (uint32_t upper = 0; upper < 1 << 16; ++upper)
    for (uint32_t lower : {0x0000, 0x0001, 0x3A5C, 0x7FFF, 0x8000, 0x8001, 0xC0DE, 0xFFFF})
      values.push_back(std::bit_cast<float>(upper << 16 | lower));
  return values;
}

TEST(BFloat16, EveryOneIsAFloatAndComesBack) {
  for (uint32_t bits = 0; bits < 1 << 16; ++bits) {
    bfloat16 x = from_bits(static_cast<uint16_t>(bits));
    float value = x;
    ASSERT_EQ(std::bit_cast<uint32_t>(value), bits << 16);
    if (std::isnan(value)) {
      ASSERT_EQ(bits_of_rounded(value), bits | 0x40);  // quiet, as IEEE has it
    } else {
      ASSERT_EQ(bits_of_rounded(value), bits);
    }
  }
}

TEST(BFloat16, IsTheNearestAndEvenInTheMiddle) {
  for (float value : sweep())
    if (!std::isnan(value)) {
      ASSERT_EQ(bits_of_rounded(value), nearest_bits(value)) << std::bit_cast<uint32_t>(value);
    }
  EXPECT_EQ(float(bfloat16(1 + 0x1p-8f)), 1);            // down to the even one
  EXPECT_EQ(float(bfloat16(1 + 0x3p-8f)), 1 + 0x1p-6f);  // up to it
  EXPECT_EQ(float(bfloat16(1 + 0x1.0002p-8f)), 1 + 0x1p-7f);
  EXPECT_EQ(float(bfloat16(-1 - 0x3p-8f)), -1 - 0x1p-6f);
}

TEST(BFloat16, TheLargestAndTheSmallest) {
  constexpr float largest = 0x1.FEp127f, infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(float(bfloat16(0x1.FEFFFEp127f)), largest);
  EXPECT_EQ(float(bfloat16(0x1.FFp127f)), infinity);  // the middle between it and 2¹²⁸
  EXPECT_EQ(float(bfloat16(std::numeric_limits<float>::max())), infinity);
  EXPECT_EQ(float(bfloat16(-std::numeric_limits<float>::max())), -infinity);
  // Denormals have fewer bits, and become 0 only from half the smallest on.
  EXPECT_EQ(float(bfloat16(0x1p-126f)), 0x1p-126f);
  EXPECT_EQ(float(bfloat16(0x1.8p-127f)), 0x1.8p-127f);
  EXPECT_EQ(float(bfloat16(0x1.8p-134f)), 0x1p-133f);
  EXPECT_EQ(bits_of_rounded(0x1p-134f), 0x0000);
  EXPECT_EQ(bits_of_rounded(0x1.0002p-134f), 0x0001);
  EXPECT_EQ(bits_of_rounded(-0x1p-149f), 0x8000);
  EXPECT_EQ(bits_of_rounded(-0.0f), 0x8000);
}

// Also one of whose payload only low bits are set, which rounding would make infinite, or carry over the
// sign.
TEST(BFloat16, NotANumberStaysOne) {
  for (uint32_t payload : {0x000001u, 0x007FFFu, 0x008000u, 0x00FFFFu, 0x400000u, 0x7F7FFFu, 0x7FFFFFu}) {
    for (uint32_t sign : {0u, sign_bit}) {
      bfloat16 x = std::bit_cast<float>(sign | infinity_bits | payload);
      EXPECT_TRUE(std::isnan(float(x))) << payload;
      EXPECT_EQ(x.bits & 0x8000, sign >> 16) << payload;
    }
  }
}

TEST(BFloat16, IsComputedWithInFloat) {
  bfloat16 x = 256;
  x += 1;  // 257 is the middle between 256 and 258
  EXPECT_EQ(float(x), 256);
  x += 1.5;
  EXPECT_EQ(float(x), 258);
  x -= 2;
  x *= 1.5;
  EXPECT_EQ(float(x), 384);
  static_assert(sizeof(bfloat16) == 2);
  static_assert(std::is_same_v<Compute<bfloat16>, float> && std::is_same_v<Compute<double>, double>);
}

// What a loop writes, from an address that suits no vector on; what lies behind it must stay.
template <class To, class Loop>
std::vector<To> written(int64_t n, To untouched, Loop loop) {
  std::vector<To> to(static_cast<size_t>(n) + 2, untouched);
  loop(to.data() + 1);
  return to;
}

uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(x); }
uint32_t bits_of(bfloat16 x) { return x.bits; }

template <class To, class Expected>
void expect_written(const std::vector<To>& to, To untouched, Expected expected, const char* what) {
  ASSERT_EQ(bits_of(to.front()), bits_of(untouched)) << what;
  ASSERT_EQ(bits_of(to.back()), bits_of(untouched)) << what << " of " << to.size() - 2;
  for (size_t i = 0; i + 2 < to.size(); ++i)
    ASSERT_EQ(bits_of(to[i + 1]), bits_of(expected(i)))
        << what << " of " << to.size() - 2 << ", element " << i;
}

void expect_loops_of_one_by_one(const float* x, const float* y, int64_t n) {
  const ConversionKernels<bfloat16>& kernels = conversion_kernels<bfloat16>();
  const bfloat16 some = from_bits(0x4711);
  std::vector<bfloat16> stored(n);
  for (int64_t i = 0; i < n; ++i)
    stored[i] = from_bits(static_cast<uint16_t>(std::bit_cast<uint32_t>(x[i]) >> 16));
  expect_written(
      written(n, 7.0f, [&](float* to) { kernels.load(stored.data(), to, n); }), 7.0f,
      [&](size_t i) { return float(stored[i]); }, "load");
  expect_written(
      written(n, some, [&](bfloat16* to) { kernels.store(x, to, n); }), some,
      [&](size_t i) { return bfloat16(x[i]); }, "store");
  expect_written(
      written(n, some, [&](bfloat16* to) { kernels.store_scaled(x, 0.3f, to, n); }), some,
      [&](size_t i) { return bfloat16(x[i] * 0.3f); }, "store_scaled");
  expect_written(
      written(n, some, [&](bfloat16* to) { kernels.store_sum(x, y, to, n); }), some,
      [&](size_t i) { return bfloat16(x[i] + y[i]); }, "store_sum");
}

TEST(BFloat16, LoopsOfEveryInstructionSetGiveTheSameBits) {
  std::vector<float> x = sweep(), y(x.size());
  // The second summand is finite: of two NaNs either may be what the sum is.
  for (size_t i = 0; i < y.size(); ++i)
    y[i] = static_cast<float>(static_cast<int64_t>(i % 1009) - 500) * 0x1p-3f;
  Isa best = isa();
  for (Isa each : available_isas()) {
    SCOPED_TRACE(name(each));
    set_isa(each);
    for (int64_t n = 0; n <= 70; ++n)  // of the middle of them: numbers of either kind of rounding
      expect_loops_of_one_by_one(x.data() + 0x3F80 * 8 + n, y.data() + n, n);
    expect_loops_of_one_by_one(x.data(), y.data(), std::ssize(x));
  }
  set_isa(best);
}

// f32 and f64 go the same ways.
template <class T>
void expect_copies() {
  std::vector<T> a{1.5, -2, 3, 1e-30, 7}, b{1, 2, 3, 4, 5}, to(5);
  const ConversionKernels<T>& kernels = conversion_kernels<T>();
  kernels.load(a.data(), to.data(), 5);
  EXPECT_EQ(to, a);
  kernels.store(b.data(), to.data(), 5);
  EXPECT_EQ(to, b);
  kernels.store_scaled(a.data(), 2, to.data(), 4);
  EXPECT_EQ(to, (std::vector<T>{3, -4, 6, T(2) * a[3], 5}));
  kernels.store_sum(a.data(), b.data(), to.data(), 3);
  EXPECT_EQ(to, (std::vector<T>{2.5, 0, 6, T(2) * a[3], 5}));
}

TEST(BFloat16, LoopsOfOtherTypesCopy) {
  Isa best = isa();
  for (Isa each : available_isas()) {
    set_isa(each);
    expect_copies<float>();
    expect_copies<double>();
  }
  set_isa(best);
}

std::vector<uint16_t> stored_bits(const Array& array) {
  std::vector<uint16_t> bits;
  for (int64_t i = 0; i < array.size(); ++i) bits.push_back(array.data<bfloat16>()[i].bits);
  return bits;
}

// Of several tasks, and beginning within a larger array.
TEST(BFloat16, ArraysAreCastToTheNearest) {
  std::vector<float> values = sweep();
  std::erase_if(values, [](float x) { return std::isnan(x); });
  std::vector<double> wide;
  std::vector<uint16_t> expected;
  for (float value : values) {
    wide.push_back(value);
    expected.push_back(nearest_bits(value));
  }
  Array f32 = Array::from(values), f64 = Array::from(wide);
  int threads = thread_count();
  for (int count : {1, 3}) {
    set_thread_count(count);
    EXPECT_EQ(stored_bits(f32.cast(DType::bf16)), expected);
    EXPECT_EQ(stored_bits(f64.cast(DType::bf16)), expected);
  }
  set_thread_count(threads);
  Array bf16 = f32.cast(DType::bf16);
  std::vector<float> narrow = bf16.cast(DType::f32).to_vector<float>();
  std::vector<double> exact = bf16.cast(DType::f64).to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(narrow[i]), uint32_t{expected[i]} << 16);
    ASSERT_EQ(exact[i], narrow[i]);
  }
  constexpr int64_t begin = 131'073, count = 70'001;
  Array part = Array::full({count + 2}, 5, DType::bf16), inner = part.rows(1, count + 1);
  inner.convert_from(f32.rows(begin, begin + count));
  EXPECT_EQ(stored_bits(inner),
            std::vector<uint16_t>(expected.begin() + begin, expected.begin() + begin + count));
  EXPECT_EQ(part.item(0), 5);
  EXPECT_EQ(part.item(count + 1), 5);
  EXPECT_EQ(Array::full({3}, 0.1, DType::bf16).item(2), float(bfloat16(0.1f)));
}

// The nearest of a double isn't always that of its nearest float, which may lie in the middle of two.
TEST(BFloat16, ADoubleIsRoundedOnce) {
  std::vector<double> values;
  for (double middle : {1 + 0x1p-8, 1 + 0x3p-8, 0x1.01p100, 0x1.FFp127, 0x1.01p-120, 0x1p-134, 0x3p-134})
    for (double x : {std::nextafter(middle, 0.0), middle, std::nextafter(middle, INFINITY)})
      values.insert(values.end(), {x, -x});
  values.insert(values.end(), {0.0, -0.0, 1e-300, -1e-300, 1e300, -1e300, INFINITY, -INFINITY});
  std::vector<uint16_t> expected;
  for (double x : values) expected.push_back(nearest_bits(x));
  EXPECT_EQ(stored_bits(Array::from(values).cast(DType::bf16)), expected);
  EXPECT_TRUE(std::isnan(Array::full({1}, NAN, DType::bf16).item()));
}

TEST(BFloat16, ConversionsNeedOneShape) {
  Array two = Array::zeros({2}, DType::bf16), three = Array::zeros({3}, DType::f32);
  EXPECT_EQ(message_of([&] { two.convert_from(three); }), "[array] can't convert [3] to [2]");
  EXPECT_EQ(message_of([&] {
              three.convert_from(Array::zeros({3, 1}, DType::bf16));
            }),
            "[array] can't convert [3, 1] to [3]");
  EXPECT_EQ(message_of([&] { three.cast(DType::f16); }),
            "[array] f16 can be read from files but not written");
}

// In bf16 such a sum would stay at 256.
TEST(BFloat16, SumsOfManyAreFloats) {
  Array ones = Array::full({5000, 3}, 1, DType::bf16);
  Isa best = isa();
  for (Isa each : available_isas()) {
    set_isa(each);
    EXPECT_EQ(sum_to_shape(ones, {3}, DType::f32).to_vector<float>(), (std::vector<float>{5000, 5000, 5000}));
    EXPECT_EQ(sum_to_shape(ones, {1, 1}, DType::f32).item(), 15'000);
    EXPECT_EQ(sum_to_shape(ones, {3}).item(1), 4992);  // 5000 in bf16
    EXPECT_EQ(sum_to_shape(ones, {3}).dtype(), DType::bf16);
    for (int64_t n : {0, 1, 15, 16, 17, 63, 64, 65, 129, 1031}) {
      std::vector<float> sums(n + 1, 100);
      accumulate_kernels<bfloat16>().add_to_sums(sums.data(), ones.data<bfloat16>(), n);
      for (int64_t i = 0; i <= n; ++i) ASSERT_EQ(sums[i], i < n ? 101 : 100) << n;
      EXPECT_EQ(accumulate_kernels<bfloat16>().sum(ones.data<bfloat16>(), n), n);
      EXPECT_EQ(accumulate_kernels<bfloat16>().sum_of_squares(ones.data<bfloat16>(), n), n);
    }
  }
  set_isa(best);
}

}  // namespace
}  // namespace bertie
