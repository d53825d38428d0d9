// linear() with a weight that is packed in f32, against f64.
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

namespace bertie {
namespace {

Array random_floats(const Shape& shape, uint64_t seed) {
  std::vector<float> values(shape.size());
  Random random(seed);
  for (float& value : values) value = static_cast<float>(random.normal());
  return Array::from(values, shape);
}

struct F32Weight {
  F32Weight(int64_t rows, int64_t in, int64_t out)
      : x(random_floats({rows, in}, 1)), W(random_floats({out, in}, 2)), b(random_floats({out}, 3)) {}
  Array y(bool with_bias = true, InputFunction f = InputFunction::identity) const {
    return linear(x, PackedWeight(W, DType::f32), with_bias ? Tensor(b) : Tensor(), f).array();
  }
  Array x, W, b;
};

// Off by a rounding for each term that is added.
void expect_sums(const F32Weight& c, bool with_bias, InputFunction f) {
  int64_t rows = c.x.shape()[0], in = c.x.shape()[1], out = c.b.size();
  Array y = c.y(with_bias, f), fx = c.x;
  if (f == InputFunction::gelu) fx = gelu(c.x).array();
  if (f == InputFunction::gelu_tanh) fx = gelu_tanh(c.x).array();
  ASSERT_EQ(y.shape(), (Shape{rows, out}));
  ASSERT_EQ(y.dtype(), DType::f32);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < out; ++j) {
      double exact = with_bias ? c.b.item(j) : 0, sizes = std::abs(exact);
      for (int64_t k = 0; k < in; ++k) {
        double term = fx.item(i * in + k) * c.W.item(j * in + k);
        exact += term;
        sizes += std::abs(term);
      }
      ASSERT_NEAR(y.item(i * out + j), exact, 1.01 * static_cast<double>(in + 2) * 0x1p-24 * sizes)
          << "row " << i << ", column " << j;
    }
}

// One row and several, to the sides of a tile's 6 and a task's 128; columns to the sides of a panel's 16
// and 64; and a function's input in two ranges of rows.
TEST(WeightInF32, EveryElementIsTheSum) {
  struct Sizes {
    int64_t rows, in, out;
  };
  std::vector<Sizes> sizes{{1, 1, 1},     {1, 200, 130},  {2, 64, 64},   {5, 3, 65},   {6, 33, 15},
                           {7, 63, 16},   {12, 15, 17},   {16, 70, 192}, {33, 31, 66}, {128, 16, 79},
                           {129, 32, 63}, {300, 37, 150}, {200, 130, 17}};
  Isa best = isa();
  for (Isa each : available_isas()) {
    set_isa(each);
    for (Sizes s : sizes)
      for (InputFunction f : {InputFunction::identity, InputFunction::gelu, InputFunction::gelu_tanh})
        for (bool with_bias : {true, false}) {
          SCOPED_TRACE(fmt::format("{}: [{}, {}] to {}, function {}, bias {}", name(each), s.rows, s.in,
                                   s.out, static_cast<int>(f), with_bias));
          ASSERT_NO_FATAL_FAILURE(expect_sums({s.rows, s.in, s.out}, with_bias, f));
        }
  }
  set_isa(best);
}

// Whatever instruction set it was packed under: the panels are its own.
TEST(WeightInF32, ServesEveryInstructionSet) {
  F32Weight c(20, 35, 150);
  Isa best = isa();
  for (Isa packed_under : available_isas()) {
    set_isa(packed_under);
    PackedWeight W(c.W, DType::f32);
    for (Isa each : available_isas()) {
      set_isa(each);
      EXPECT_EQ(linear(c.x, W, c.b).array().to_vector<float>(), c.y().to_vector<float>())
          << name(packed_under) << ", " << name(each);
      EXPECT_EQ(W.values().to_vector<float>(), c.W.to_vector<float>());
    }
  }
  set_isa(best);
}

TEST(WeightInF32, ARowIsTheSameBitsAloneAndOnAnyNumberOfThreads) {
  F32Weight c(150, 170, 90), one = c;
  int threads = thread_count();
  std::vector<float> together = c.y().to_vector<float>();
  for (int count : {1, 2, 3}) {
    set_thread_count(count);
    EXPECT_EQ(c.y().to_vector<float>(), together) << count;
  }
  set_thread_count(threads);
  for (int64_t i = 0; i < 150; ++i) {
    one.x = c.x.rows(i, i + 1).clone();
    EXPECT_EQ(one.y().to_vector<float>(),
              std::vector<float>(together.begin() + 90 * i, together.begin() + 90 * (i + 1)));
  }
}

TEST(WeightInF32, NaNStaysInItsRowAndItsColumn) {
  F32Weight c(3, 37, 5);
  for (int64_t k = 0; k < 37; ++k) {
    F32Weight broken = c;
    broken.x = c.x.clone();
    broken.x.mutable_data<float>()[37 + k] = std::nanf("");
    Array y = broken.y();
    for (int64_t i = 0; i < 15; ++i) ASSERT_EQ(std::isnan(y.item(i)), i / 5 == 1) << k;
    broken = c;
    broken.W = c.W.clone();
    broken.W.mutable_data<float>()[2 * 37 + k] = std::nanf("");
    y = broken.y();
    for (int64_t i = 0; i < 15; ++i) ASSERT_EQ(std::isnan(y.item(i)), i % 5 == 2) << k;
  }
}

TEST(WeightInF32, OfNothing) {
  EXPECT_EQ(F32Weight(0, 5, 3).y().shape(), (Shape{0, 3}));
  EXPECT_EQ(F32Weight(4, 5, 0).y().shape(), (Shape{4, 0}));
  EXPECT_EQ(F32Weight(0, 0, 0).y().shape(), (Shape{0, 0}));
  for (InputFunction f : {InputFunction::identity, InputFunction::gelu}) {
    F32Weight c(4, 0, 3);
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_EQ(c.y(true, f).rows(i, i + 1).to_vector<float>(), c.b.to_vector<float>());
    EXPECT_EQ(c.y(false, f).to_vector<float>(), std::vector<float>(12, 0));
  }
}

TEST(WeightInF32, IsAsLargeAsItWas) {
  EXPECT_EQ(PackedWeight(random_floats({128, 192}, 1), DType::f32).bytes(), 128 * 192 * 4);
  EXPECT_EQ(PackedWeight(random_floats({65, 70}, 1), DType::f32).bytes(),
            128 * 70 * 4);  // in whole blocks of 64
}

TEST(WeightInF32, MayBeOfAnyDepth) {
  F32Weight c(2, (1 << 16) + 3, 1);
  ASSERT_NO_FATAL_FAILURE(expect_sums(c, true, InputFunction::identity));
}

TEST(WeightInF32, RefusesWhatDoesntFit) {
  F32Weight c(4, 6, 3);
  PackedWeight W(c.W, DType::f32);
  auto of = [&](const Tensor& x, const Tensor& b) { return message_of([&] { linear(x, W, b); }); };
  EXPECT_EQ(of(c.x.cast(DType::bf16), {}),
            "[linear] x must be f32 and b f32 where W is f32: x is bf16, b is none");
  EXPECT_EQ(of(random_floats({4, 5}, 1), {}), "[linear] x must be [..., in]: x is [4, 5], W is [3, 6]");
  EXPECT_EQ(of(c.x, random_floats({4}, 1)), "[linear] b must be [out]: b is [4], W is [3, 6]");
  Tensor b = Tensor::parameter(c.b);
  EXPECT_EQ(message_of([&] { backward(sum(linear(c.x, W, b))); }),
            "[linear] a weight that was packed once and for all has no gradient");
}

TEST(WeightInF32, LeadingAxesAreRows) {
  F32Weight c(15, 20, 7);
  std::vector<float> flat = c.y().to_vector<float>();
  Array y = linear(c.x.reshape({3, 5, 20}), PackedWeight(c.W, DType::f32), c.b).array();
  EXPECT_EQ(y.shape(), (Shape{3, 5, 7}));
  EXPECT_EQ(y.to_vector<float>(), flat);
}

}  // namespace
}  // namespace bertie
