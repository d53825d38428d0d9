// linear() with a weight that is packed in f32 or in bf16, against f64 on the same numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/packed_linear.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"
#include "tests/numbers.h"

namespace bertie {
namespace {

Array normal_numbers(const Shape& shape, uint64_t seed, DType type = DType::f32) {
  std::vector<double> values(shape.size());
  Random random(seed);
  for (double& value : values) value = random.normal();
  return Array::from(values, shape).cast(type);
}

struct Product {
  Product(DType type, int64_t rows, int64_t in, int64_t out)
      : type(type),
        x(normal_numbers({rows, in}, 1, type)),
        W(normal_numbers({out, in}, 2)),
        b(normal_numbers({out}, 3)) {}
  Array y(bool with_bias = true, InputFunction f = InputFunction::identity) const {
    return linear(x, PackedWeight(W, type), with_bias ? Tensor(b) : Tensor(), f).array();
  }
  DType type;
  Array x, W, b;
};

// Off by a rounding in f32 for each term that is added, and, in bf16, by that of the exact result to 8 bits.
void expect_nearest(const Product& c, bool with_bias, InputFunction f) {
  int64_t rows = c.x.shape()[0], in = c.x.shape()[1], out = c.b.size();
  Array y = c.y(with_bias, f), fx = c.x, W = c.W.cast(c.type);
  if (f == InputFunction::gelu) fx = gelu(c.x).array();
  if (f == InputFunction::gelu_tanh) fx = gelu_tanh(c.x).array();
  ASSERT_EQ(y.shape(), (Shape{rows, out}));
  ASSERT_EQ(y.dtype(), c.type);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < out; ++j) {
      double exact = with_bias ? c.b.item(j) : 0, sizes = std::abs(exact);
      for (int64_t k = 0; k < in; ++k) {
        double term = fx.item(i * in + k) * W.item(j * in + k);
        exact += term;
        sizes += std::abs(term);
      }
      double sums = 1.01 * static_cast<double>(in + 2) * 0x1p-24 * sizes;
      ASSERT_NEAR(y.item(i * out + j), exact, c.type == DType::f32 ? sums : 0x1p-8 * std::abs(exact) + sums)
          << "row " << i << ", column " << j;
    }
}

class WeightIn : public testing::TestWithParam<DType> {
 protected:
  static Product product(int64_t rows, int64_t in, int64_t out) { return {GetParam(), rows, in, out}; }
};

INSTANTIATE_TEST_SUITE_P(Types, WeightIn, testing::Values(DType::f32, DType::bf16),
                         [](const auto& type) { return std::string(name(type.param)); });

// One row and several, to the sides of a tile's 6, a block's 32 and a task's 128; columns to the sides of a
// panel's 16 and 64; and a function's input in two ranges of rows.
TEST_P(WeightIn, EveryElementIsTheNearest) {
  struct Sizes {
    int64_t rows, in, out;
  };
  std::vector<Sizes> sizes{{1, 1, 1},     {1, 200, 130}, {2, 64, 64},    {5, 3, 65},
                           {6, 33, 15},   {7, 63, 16},   {12, 15, 17},   {16, 70, 192},
                           {17, 63, 16},  {31, 4, 17},   {32, 70, 66},   {33, 31, 66},
                           {128, 16, 79}, {129, 32, 63}, {300, 37, 150}, {200, 130, 17}};
  Isa best = isa();
  for (Isa each : available_isas()) {
    set_isa(each);
    for (Sizes s : sizes)
      for (InputFunction f : {InputFunction::identity, InputFunction::gelu, InputFunction::gelu_tanh})
        for (bool with_bias : {true, false}) {
          SCOPED_TRACE(fmt::format("{}: [{}, {}] to {}, function {}, bias {}", name(each), s.rows, s.in,
                                   s.out, static_cast<int>(f), with_bias));
          ASSERT_NO_FATAL_FAILURE(expect_nearest(product(s.rows, s.in, s.out), with_bias, f));
        }
  }
  set_isa(best);
}

// Whatever instruction set it was packed under: panels in f32 are that one's own.
TEST_P(WeightIn, ServesEveryInstructionSet) {
  Product c = product(20, 35, 150);
  Isa best = isa();
  for (Isa packed_under : available_isas()) {
    set_isa(packed_under);
    PackedWeight W(c.W, c.type);
    for (Isa each : available_isas()) {
      set_isa(each);
      EXPECT_EQ(numbers(linear(c.x, W, c.b).array()), numbers(c.y()))
          << name(packed_under) << ", " << name(each);
      EXPECT_EQ(numbers(W.values()), numbers(c.W.cast(c.type)));
    }
  }
  set_isa(best);
}

TEST_P(WeightIn, ARowIsTheSameBitsAloneAndOnAnyNumberOfThreads) {
  Product c = product(150, 170, 90), one = c;
  int threads = thread_count();
  std::vector<double> together = numbers(c.y());
  for (int count : {1, 2, 3}) {
    set_thread_count(count);
    EXPECT_EQ(numbers(c.y()), together) << count;
  }
  set_thread_count(threads);
  for (int64_t i = 0; i < 150; ++i) {
    one.x = c.x.rows(i, i + 1).clone();
    EXPECT_EQ(numbers(one.y()),
              std::vector<double>(together.begin() + 90 * i, together.begin() + 90 * (i + 1)));
  }
}

TEST_P(WeightIn, NaNStaysInItsRowAndItsColumn) {
  Product c = product(3, 37, 5);
  for (int64_t k = 0; k < 37; ++k) {
    Product broken = c;
    std::vector<double> x = numbers(c.x), W = numbers(c.W);
    x[37 + k] = std::nan("");
    broken.x = Array::from(x, c.x.shape()).cast(c.type);
    Array y = broken.y();
    for (int64_t i = 0; i < 15; ++i) ASSERT_EQ(std::isnan(y.item(i)), i / 5 == 1) << k;
    broken = c;
    W[2 * 37 + k] = std::nan("");
    broken.W = Array::from(W, c.W.shape()).cast(DType::f32);
    y = broken.y();
    for (int64_t i = 0; i < 15; ++i) ASSERT_EQ(std::isnan(y.item(i)), i % 5 == 2) << k;
  }
}

TEST_P(WeightIn, OfNothing) {
  EXPECT_EQ(product(0, 5, 3).y().shape(), (Shape{0, 3}));
  EXPECT_EQ(product(4, 5, 0).y().shape(), (Shape{4, 0}));
  EXPECT_EQ(product(0, 0, 0).y().shape(), (Shape{0, 0}));
  for (InputFunction f : {InputFunction::identity, InputFunction::gelu}) {
    Product c = product(4, 0, 3);
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_EQ(numbers(c.y(true, f).rows(i, i + 1)), numbers(c.b.cast(c.type)));
    EXPECT_EQ(numbers(c.y(false, f)), std::vector<double>(12, 0));
  }
}

TEST_P(WeightIn, LeadingAxesAreRows) {
  Product c = product(15, 20, 7);
  Array y = linear(c.x.reshape({3, 5, 20}), PackedWeight(c.W, c.type), c.b).array();
  EXPECT_EQ(y.shape(), (Shape{3, 5, 7}));
  EXPECT_EQ(numbers(y), numbers(c.y()));
}

TEST_P(WeightIn, RefusesWhatDoesntFit) {
  Product c = product(4, 6, 3);
  PackedWeight W(c.W, c.type);
  std::string type = name(c.type), other = name(c.type == DType::f32 ? DType::bf16 : DType::f32);
  auto of = [&](const Tensor& x, const Tensor& b) { return message_of([&] { linear(x, W, b); }); };
  EXPECT_EQ(of(c.x.cast(c.type == DType::f32 ? DType::bf16 : DType::f32), {}),
            fmt::format("[linear] x must be {0} and b f32 where W is {0}: x is {1}, b is none", type, other));
  EXPECT_EQ(of(c.x, c.b.cast(DType::bf16)),
            fmt::format("[linear] x must be {0} and b f32 where W is {0}: x is {0}, b is bf16", type));
  EXPECT_EQ(of(normal_numbers({4, 5}, 1, c.type), {}),
            "[linear] x must be [..., in]: x is [4, 5], W is [3, 6]");
  EXPECT_EQ(of(c.x, normal_numbers({4}, 1)), "[linear] b must be [out]: b is [4], W is [3, 6]");
  Tensor b = Tensor::parameter(c.b);
  EXPECT_EQ(message_of([&] { backward(sum(linear(c.x, W, b))); }),
            "[linear] a weight that was packed once and for all has no gradient");
}

TEST(PackedWeight, IsHalfAsLargeInBf16) {
  Array W = normal_numbers({65, 70}, 7), whole = normal_numbers({128, 192}, 1);
  PackedWeight rounded(W, DType::bf16);
  EXPECT_EQ(rounded.dtype(), DType::bf16);
  EXPECT_EQ(rounded.shape(), (Shape{65, 70}));
  EXPECT_EQ(rounded.bytes(), 128 * 96 * 2);  // in whole blocks of 64 and 32
  EXPECT_EQ(PackedWeight(W, DType::f32).bytes(), 128 * 70 * 4);
  EXPECT_EQ(PackedWeight(whole, DType::bf16).bytes(), 128 * 192 * 2);
  EXPECT_EQ(PackedWeight(whole, DType::f32).bytes(), 128 * 192 * 4);
}

TEST(PackedWeight, MayBeOfAnyDepthInF32) {
  ASSERT_NO_FATAL_FAILURE(expect_nearest({DType::f32, 2, (1 << 16) + 3, 1}, true, InputFunction::identity));
}

}  // namespace
}  // namespace bertie
