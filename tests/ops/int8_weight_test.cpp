// linear() with a weight in int8, against what its header says in f64, and against what wasn't rounded.
#include "bertie/ops/packed_linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/int8_instructions.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

constexpr float infinite = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
// Below this all numbers of a row are taken for equal, and all of a weight's row for zero.
constexpr double tiniest = 1e-36;
constexpr double f32_rounding = 0x1p-24;

Array floats(const Shape& shape, uint64_t seed, double scale = 1) {
  std::vector<float> values(shape.size());
  Random random(seed);
  for (float& value : values) value = static_cast<float>(scale * random.normal());
  return Array::from(values, shape);
}

struct QuantizedCase {
  QuantizedCase(int64_t rows, int64_t in, int64_t out)
      : x(floats({rows, in}, 1, 2)), W(floats({out, in}, 2, 0.1)), b(floats({out}, 3)) {}
  Array x, W, b;
};

Array function_of(const Array& x, InputFunction f) {
  if (f == InputFunction::gelu) return gelu(x).array();
  return f == InputFunction::gelu_tanh ? gelu_tanh(x).array() : x;
}

// A row of f(x), rounded as the header says, in f64.
struct RoundedRow {
  RoundedRow(const float* x, int64_t n) {
    low = *std::min_element(x, x + n);
    step = (*std::max_element(x, x + n) - low) / 255;
    for (int64_t k = 0; k < n; ++k) {
      double place = step > 0 ? (x[k] - low) / step : 0;
      steps.push_back(std::floor(place + 0.5));
      // In f32 it may come out on the other side.
      in_the_middle.push_back(std::abs(place - std::floor(place) - 0.5) < 2e-4);
    }
  }
  double low, step;
  std::vector<double> steps;
  std::vector<bool> in_the_middle;
};

// Each element of y = f(x) Wᵀ + b. Of the same rounded numbers it is off by what sums in f32 add: a few
// roundings of each term. Of the numbers as they were, with x off by dx ≤ step / 2 and w by dw ≤ scale / 2,
//   |(x + dx)(w + dw) − x w| ≤ |dx| |w| + |x| |dw| + |dx| |dw|,
// and where rows are tiny, dx and dw are the numbers themselves.
void expect_quantized_linear(const Array& y, const QuantizedCase& c, bool with_bias, InputFunction f) {
  int64_t in = c.W.shape()[1], out = c.W.shape()[0], rows = c.x.shape()[0];
  ASSERT_EQ(y.shape(), (Shape{rows, out}));
  ASSERT_EQ(y.dtype(), DType::f32);
  Array fx = function_of(c.x, f), rounded_w = PackedWeight(c.W, DType::i8).values();
  for (int64_t i = 0; i < rows; ++i) {
    const float* x = fx.data<float>() + i * in;
    RoundedRow row(x, in);
    for (int64_t j = 0; j < out; ++j) {
      const float *w = c.W.data<float>() + j * in, *q = rounded_w.data<float>() + j * in;
      double scale = 0;
      for (int64_t k = 0; k < in; ++k) scale = std::max(scale, std::abs(double{w[k]}) / 127);
      double bias = with_bias ? c.b.item(j) : 0, rounded = bias, exact = bias, sizes = std::abs(bias);
      double unsure = 0, moved = 0;
      double dx = std::max(row.step / 2 * 1.001, tiniest), dw = std::max(scale / 2 * 1.001, tiniest);
      for (int64_t k = 0; k < in; ++k) {
        rounded += (row.low + row.step * row.steps[k]) * q[k];
        exact += double{x[k]} * w[k];
        sizes += (std::abs(row.low) + row.step * row.steps[k]) * std::abs(q[k]);
        unsure += row.in_the_middle[k] ? row.step * std::abs(q[k]) : 0;
        moved += dx * std::abs(w[k]) + std::abs(x[k]) * dw + dx * dw;
      }
      double sums = 8 * f32_rounding * sizes, came = y.item(i * out + j);
      if (row.step * 255 > tiniest) {
        ASSERT_NEAR(came, rounded, sums + unsure) << "row " << i << " of " << rows << ", column " << j;
      }
      ASSERT_NEAR(came, exact, sums + moved) << "row " << i << " of " << rows << ", column " << j;
    }
  }
}

Array quantized_linear(const QuantizedCase& c, bool with_bias = true,
                       InputFunction f = InputFunction::identity) {
  return linear(c.x, PackedWeight(c.W, DType::i8), with_bias ? Tensor(c.b) : Tensor(), f).array();
}

// Bits, so that NaN equals itself.
void expect_same_bits(const Array& a, const Array& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  EXPECT_TRUE(std::equal(a.data<float>(), a.data<float>() + a.size(), b.data<float>(), [](float x, float y) {
    return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y);
  })) << what;
}

class QuantizedLinear : public testing::Test {
 protected:
  ~QuantizedLinear() override {
    set_isa(isa_);
    set_int8_instructions({});
    set_thread_count(threads_);
  }
  Isa isa_ = isa();
  int threads_ = thread_count();
};

TEST_F(QuantizedLinear, IsWhatItsHeaderSaysInEveryInstructionSet) {
  struct Sizes {
    int64_t rows, in, out;
  };
  std::vector<Sizes> sizes{{1, 1, 1},     {1, 200, 130},  {2, 64, 64},  {15, 3, 65},
                           {16, 65, 15},  {17, 127, 16},  {31, 4, 17},  {32, 130, 192},
                           {33, 63, 129}, {129, 128, 63}, {300, 37, 70}};
  for (Isa each : available_isas()) {
    set_isa(each);
    for (Sizes s : sizes) {
      QuantizedCase c(s.rows, s.in, s.out);
      for (InputFunction f : {InputFunction::identity, InputFunction::gelu, InputFunction::gelu_tanh}) {
        for (bool with_bias : {true, false}) {
          std::string what = fmt::format("{}: [{}, {}] to {}, function {}, bias {}", name(each), s.rows, s.in,
                                         s.out, static_cast<int>(f), with_bias);
          SCOPED_TRACE(what);
          std::optional<Array> first;
          for (Int8Instructions instructions : available_int8_instructions()) {
            set_int8_instructions(instructions);
            Array y = quantized_linear(c, with_bias, f);
            if (!first) {
              ASSERT_NO_FATAL_FAILURE(expect_quantized_linear(y, c, with_bias, f));
              first = y;
            }
            expect_same_bits(y, *first, what + name(instructions));
          }
        }
      }
    }
  }
}

TEST_F(QuantizedLinear, AnyNumberOfThreadsGivesTheSameBits) {
  QuantizedCase c(300, 517, 200);
  set_thread_count(1);
  Array one = quantized_linear(c, true, InputFunction::gelu), values = PackedWeight(c.W, DType::i8).values();
  for (int threads : {2, 3}) {
    set_thread_count(threads);
    expect_same_bits(quantized_linear(c, true, InputFunction::gelu), one, fmt::format("{} threads", threads));
    expect_same_bits(PackedWeight(c.W, DType::i8).values(), values, "values");
  }
}

// A text gives the same alone and in any batch.
TEST_F(QuantizedLinear, ARowIsRoundedOnItsOwn) {
  QuantizedCase c(150, 70, 90);
  Array together = quantized_linear(c);
  for (int64_t i = 0; i < 150; ++i) {
    QuantizedCase one = c;
    one.x = c.x.rows(i, i + 1).clone();
    expect_same_bits(quantized_linear(one), together.rows(i, i + 1), fmt::format("row {}", i));
  }
}

TEST_F(QuantizedLinear, LeadingAxesAreRows) {
  QuantizedCase c(15, 20, 7);
  PackedWeight W(c.W, DType::i8);
  Array flat = quantized_linear(c);
  Array y = linear(c.x.reshape({3, 5, 20}), W, c.b).array();
  EXPECT_EQ(y.shape(), (Shape{3, 5, 7}));
  expect_same_bits(y.reshape({15, 7}), flat, "three axes");
  y = linear(c.x.rows(0, 1).reshape({20}), W, c.b).array();
  EXPECT_EQ(y.shape(), (Shape{7}));
  expect_same_bits(y.reshape({1, 7}), flat.rows(0, 1), "one axis");
}

// Rows of zeros, of one number, of denormal numbers, of large and of small ones.
TEST_F(QuantizedLinear, RowsOfAnySizeAreRounded) {
  for (Isa each : available_isas()) {
    set_isa(each);
    QuantizedCase c(9, 50, 20);
    float* x = c.x.mutable_data<float>();
    auto row = [&](int64_t i, auto value) {
      for (int64_t k = 0; k < 50; ++k) x[i * 50 + k] = value(x[i * 50 + k]);
    };
    row(0, [](float) { return 0.0f; });
    row(1, [](float) { return -0.7f; });
    row(2, [](float v) { return v * 1e-41f; });
    row(3, [](float v) { return v * 1e-37f; });
    row(4, [](float v) { return v * 1e-30f; });
    row(5, [](float v) { return v * 1e30f; });
    row(6, [](float v) { return 1e4f + v; });  // little beside where they begin
    row(7, [](float v) { return v > 0 ? 1e3f : v; });
    Array y = quantized_linear(c, false);
    ASSERT_NO_FATAL_FAILURE(expect_quantized_linear(y, c, false, InputFunction::identity)) << name(each);
    for (int64_t j = 0; j < 20; ++j) ASSERT_EQ(y.item(j), 0);
    expect_same_bits(quantized_linear(c).rows(0, 1), c.b.reshape({1, 20}), "zeros and a bias");
  }
}

TEST_F(QuantizedLinear, WeightsOfAnySizeAreRounded) {
  for (Isa each : available_isas()) {
    set_isa(each);
    QuantizedCase c(20, 50, 8);
    float* w = c.W.mutable_data<float>();
    for (int64_t j = 0; j < 5; ++j)
      for (int64_t k = 0; k < 50; ++k)
        w[j * 50 + k] *= std::vector<float>{0, 1e-41f, 1e-36f, 1e-20f, 1e34f}[j];
    ASSERT_NO_FATAL_FAILURE(
        expect_quantized_linear(quantized_linear(c, false), c, false, InputFunction::identity))
        << name(each);
  }
}

// Whatever isn't finite is seen, and in its own row alone: wherever it stands, in whatever a vector holds.
TEST_F(QuantizedLinear, WhatIsNotFiniteGivesNaNInItsRow) {
  for (Isa each : available_isas()) {
    set_isa(each);
    QuantizedCase c(3, 37, 5);
    Array finite = quantized_linear(c);
    for (int64_t k = 0; k < 37; ++k) {
      for (float bad : {not_a_number, infinite, -infinite}) {
        QuantizedCase broken = c;
        broken.x = c.x.clone();
        broken.x.mutable_data<float>()[37 + k] = bad;
        Array y = quantized_linear(broken);
        for (int64_t j = 0; j < 5; ++j)
          ASSERT_TRUE(std::isnan(y.item(5 + j))) << name(each) << " " << bad << k;
        expect_same_bits(y.rows(0, 1), finite.rows(0, 1), "the row before");
        expect_same_bits(y.rows(2, 3), finite.rows(2, 3), "the row behind");
        broken = c;
        broken.W = c.W.clone();
        broken.W.mutable_data<float>()[2 * 37 + k] = bad;
        y = quantized_linear(broken);
        for (int64_t i = 0; i < 15; ++i) {
          ASSERT_EQ(std::isnan(y.item(i)), i % 5 == 2) << name(each) << " " << bad << k;
          if (i % 5 != 2) {
            ASSERT_EQ(y.item(i), finite.item(i));
          }
        }
      }
    }
  }
}

TEST_F(QuantizedLinear, ARangeThatOverflowsGivesNaN) {
  for (Isa each : available_isas()) {
    set_isa(each);
    QuantizedCase c(2, 37, 5);
    c.x.mutable_data<float>()[3] = 2e38f;
    c.x.mutable_data<float>()[36] = -2e38f;
    Array y = quantized_linear(c);
    for (int64_t j = 0; j < 5; ++j) EXPECT_TRUE(std::isnan(y.item(j))) << name(each);
    for (int64_t j = 5; j < 10; ++j) EXPECT_FALSE(std::isnan(y.item(j))) << name(each);
  }
}

TEST_F(QuantizedLinear, AFunctionThatIsNotFiniteGivesNaN) {
  for (InputFunction f : {InputFunction::gelu, InputFunction::gelu_tanh}) {
    QuantizedCase c(2, 40, 5);
    c.x.mutable_data<float>()[7] = not_a_number;
    Array y = quantized_linear(c, true, f);
    for (int64_t j = 0; j < 10; ++j) EXPECT_EQ(std::isnan(y.item(j)), j < 5);
  }
}

TEST_F(QuantizedLinear, OfNothing) {
  for (InputFunction f : {InputFunction::identity, InputFunction::gelu}) {
    QuantizedCase no_rows(0, 5, 3), no_columns(4, 5, 0), no_input(4, 0, 3), none(0, 0, 0);
    EXPECT_EQ(quantized_linear(no_rows, true, f).shape(), (Shape{0, 3}));
    EXPECT_EQ(quantized_linear(no_columns, true, f).shape(), (Shape{4, 0}));
    EXPECT_EQ(quantized_linear(none, true, f).shape(), (Shape{0, 0}));
    Array y = quantized_linear(no_input, true, f);
    for (int64_t i = 0; i < 4; ++i)
      expect_same_bits(y.rows(i, i + 1), no_input.b.reshape({1, 3}), "the bias");
    EXPECT_EQ(quantized_linear(no_input, false, f).to_vector<float>(), std::vector<float>(12, 0));
  }
}

TEST_F(QuantizedLinear, TheLargestDepthServes) {
  QuantizedCase c(2, 1 << 16, 2);
  for (int64_t k = 0; k < 1 << 16; ++k) {
    c.x.mutable_data<float>()[k] = k % 2 ? 1.0f : 0.0f;
    c.x.mutable_data<float>()[(1 << 16) + k] = k == 0 ? 0.0f : 1.0f;
    c.W.mutable_data<float>()[k] = 1.0f;
    c.W.mutable_data<float>()[(1 << 16) + k] = -1.0f;
  }
  for (Int8Instructions each : available_int8_instructions()) {
    set_int8_instructions(each);
    Array y = quantized_linear(c, false);
    std::vector<double> exact{1 << 15, -(1 << 15), (1 << 16) - 1, 1 - (1 << 16)};
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_NEAR(y.item(i), exact[i], 4 * f32_rounding * std::abs(exact[i])) << name(each);
  }
}

TEST_F(QuantizedLinear, RefusesWhatDoesntFit) {
  QuantizedCase c(4, 6, 3);
  PackedWeight W(c.W, DType::i8);
  auto of = [&](const Tensor& x, const PackedWeight& weight, const Tensor& b) {
    return message_of([&] { linear(x, weight, b); });
  };
  EXPECT_EQ(of({}, W, {}), "[linear] needs an input and a weight with values");
  EXPECT_EQ(of(c.x, {}, {}), "[linear] needs an input and a weight with values");
  EXPECT_EQ(of(c.x.cast(DType::f64), W, {}),
            "[linear] x must be f32 and b f32 where W is i8: x is f64, b is none");
  EXPECT_EQ(of(c.x.cast(DType::bf16), W, c.b),
            "[linear] x must be f32 and b f32 where W is i8: x is bf16, b is f32");
  EXPECT_EQ(of(c.x, W, c.b.cast(DType::f64)),
            "[linear] x must be f32 and b f32 where W is i8: x is f32, b is f64");
  EXPECT_EQ(of(floats({4, 5}, 1), W, {}), "[linear] x must be [..., in]: x is [4, 5], W is [3, 6]");
  EXPECT_EQ(of(floats({}, 1), W, {}), "[linear] x must be [..., in]: x is [], W is [3, 6]");
  for (const Shape& shape : {Shape{4}, Shape{1, 3}, Shape{}})
    EXPECT_EQ(of(c.x, W, floats(shape, 1)),
              fmt::format("[linear] b must be [out]: b is {}, W is [3, 6]", shape));
}

TEST_F(QuantizedLinear, HasNoGradient) {
  QuantizedCase c(4, 6, 3);
  PackedWeight W(c.W, DType::i8);
  std::string message = "[linear] a weight that was packed once and for all has no gradient";
  Tensor x = Tensor::parameter(c.x), b = Tensor::parameter(c.b);
  EXPECT_EQ(message_of([&] { backward(sum(linear(x, W, c.b))); }), message);
  EXPECT_EQ(message_of([&] { backward(sum(linear(c.x, W, b))); }), message);
  EXPECT_FALSE(linear(c.x, W, c.b).requires_grad());
  NoGrad none;
  EXPECT_FALSE(linear(x, W, b).requires_grad());
}

TEST_F(QuantizedLinear, AWeightIsOffByHalfAScale) {
  for (Isa each : available_isas()) {
    set_isa(each);
    for (Shape shape : {Shape{1, 1}, Shape{15, 33}, Shape{16, 64}, Shape{65, 70}, Shape{130, 5}}) {
      Array W = floats(shape, 7, 0.3);
      PackedWeight rounded(W, DType::i8);
      EXPECT_TRUE(rounded);
      EXPECT_EQ(rounded.shape(), shape);
      Array values = rounded.values();
      ASSERT_EQ(values.shape(), shape);
      ASSERT_EQ(values.dtype(), DType::f32);
      int64_t in = shape[1];
      for (int64_t i = 0; i < shape[0]; ++i) {
        double largest = 0, kept = 0;
        for (int64_t k = 0; k < in; ++k) {
          largest = std::max(largest, std::abs(W.item(i * in + k)));
          kept = std::max(kept, std::abs(values.item(i * in + k)));
        }
        for (int64_t k = 0; k < in; ++k)
          ASSERT_NEAR(values.item(i * in + k), W.item(i * in + k), largest / 254 * 1.001) << name(each) << i;
        EXPECT_NEAR(kept, largest, 2 * f32_rounding * largest);
      }
    }
  }
}

// A number is 8 bits; of each row there are a scale and a sum beside them. Rows come to whole blocks of 64.
TEST_F(QuantizedLinear, AWeightTakesAFourthOfTheMemory) {
  EXPECT_EQ(PackedWeight(floats({128, 192}, 1), DType::i8).bytes(), 128 * 192 + 2 * 4 * 128);
  EXPECT_EQ(PackedWeight(floats({65, 129}, 1), DType::i8).bytes(), 128 * 192 + 2 * 4 * 128);
  EXPECT_FALSE(PackedWeight());
}

TEST_F(QuantizedLinear, RefusesOtherWeights) {
  auto of = [&](const Array& W) { return message_of([&] { PackedWeight{W, DType::i8}; }); };
  EXPECT_EQ(of({}), "[pack] a weight must be f32 [out, in], got f32 []");
  EXPECT_EQ(of(floats({6}, 1)), "[pack] a weight must be f32 [out, in], got f32 [6]");
  EXPECT_EQ(of(floats({2, 3, 1}, 1)), "[pack] a weight must be f32 [out, in], got f32 [2, 3, 1]");
  EXPECT_EQ(of(floats({2, 3}, 1).cast(DType::f64)), "[pack] a weight must be f32 [out, in], got f64 [2, 3]");
  EXPECT_EQ(of(floats({2, 3}, 1).cast(DType::bf16)),
            "[pack] a weight must be f32 [out, in], got bf16 [2, 3]");
  EXPECT_EQ(message_of([] {
              PackedWeight(floats({2, 3}, 1), DType::f64);
            }),
            "[pack] is to f32, bf16 or i8, not to f64");
  EXPECT_EQ(of(floats({1, (1 << 16) + 1}, 1)), "[pack] a row may have 65536 numbers, got [1, 65537]");
}

}  // namespace
}  // namespace bertie
