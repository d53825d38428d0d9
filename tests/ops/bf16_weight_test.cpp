// linear() with a weight that is packed in bf16, against f64 on the same numbers.
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

Array normal_numbers(const Shape& shape, uint64_t seed, DType type = DType::f32) {
  std::vector<double> values(shape.size());
  Random random(seed);
  for (double& value : values) value = random.normal();
  return Array::from(values, shape).cast(type);
}

struct Bf16Weight {
  Bf16Weight(int64_t rows, int64_t in, int64_t out)
      : x(normal_numbers({rows, in}, 1, DType::bf16)),
        W(normal_numbers({out, in}, 2)),
        b(normal_numbers({out}, 3)) {}
  Array y(bool with_bias = true, InputFunction f = InputFunction::identity) const {
    return linear(x, PackedWeight(W, DType::bf16), with_bias ? Tensor(b) : Tensor(), f).array();
  }
  Array x, W, b;
};

std::vector<uint16_t> bits_of(const Array& array) {
  std::vector<uint16_t> bits;
  for (int64_t i = 0; i < array.size(); ++i) bits.push_back(array.data<bfloat16>()[i].bits);
  return bits;
}

// Off by the rounding of the exact result to 8 bits, and by a rounding in f32 for each term that is added.
void expect_nearest(const Bf16Weight& c, bool with_bias, InputFunction f) {
  int64_t rows = c.x.shape()[0], in = c.x.shape()[1], out = c.b.size();
  Array y = c.y(with_bias, f), fx = c.x, W = c.W.cast(DType::bf16);
  if (f == InputFunction::gelu) fx = gelu(c.x).array();
  if (f == InputFunction::gelu_tanh) fx = gelu_tanh(c.x).array();
  ASSERT_EQ(y.shape(), (Shape{rows, out}));
  ASSERT_EQ(y.dtype(), DType::bf16);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < out; ++j) {
      double exact = with_bias ? c.b.item(j) : 0, sizes = std::abs(exact);
      for (int64_t k = 0; k < in; ++k) {
        double term = fx.item(i * in + k) * W.item(j * in + k);
        exact += term;
        sizes += std::abs(term);
      }
      double sums = static_cast<double>(in + 1) * 0x1p-24 * sizes;
      ASSERT_NEAR(y.item(i * out + j), exact, 0x1p-8 * std::abs(exact) + 1.01 * sums)
          << "row " << i << ", column " << j;
    }
}

TEST(WeightInBf16, EveryElementIsTheNearest) {
  struct Sizes {
    int64_t rows, in, out;
  };
  std::vector<Sizes> sizes{{1, 1, 1},    {1, 200, 130}, {2, 64, 64},  {15, 3, 65},
                           {16, 33, 15}, {17, 63, 16},  {31, 4, 17},  {32, 70, 192},
                           {33, 31, 66}, {129, 32, 63}, {300, 37, 70}};
  Isa best = isa();
  for (Isa each : available_isas()) {
    set_isa(each);
    for (Sizes s : sizes)
      for (InputFunction f : {InputFunction::identity, InputFunction::gelu, InputFunction::gelu_tanh})
        for (bool with_bias : {true, false}) {
          SCOPED_TRACE(fmt::format("{}: [{}, {}] to {}, function {}, bias {}", name(each), s.rows, s.in,
                                   s.out, static_cast<int>(f), with_bias));
          ASSERT_NO_FATAL_FAILURE(expect_nearest({s.rows, s.in, s.out}, with_bias, f));
        }
  }
  set_isa(best);
}

TEST(WeightInBf16, ARowIsTheSameBitsAloneAndOnAnyNumberOfThreads) {
  Bf16Weight c(150, 170, 90), one = c;
  int threads = thread_count();
  std::vector<uint16_t> together = bits_of(c.y());
  for (int count : {1, 2, 3}) {
    set_thread_count(count);
    EXPECT_EQ(bits_of(c.y()), together) << count;
  }
  set_thread_count(threads);
  for (int64_t i = 0; i < 150; ++i) {
    one.x = c.x.rows(i, i + 1).clone();
    EXPECT_EQ(bits_of(one.y()),
              std::vector<uint16_t>(together.begin() + 90 * i, together.begin() + 90 * (i + 1)));
  }
}

TEST(WeightInBf16, NaNStaysInItsRowAndItsColumn) {
  Bf16Weight c(3, 37, 5);
  for (int64_t k = 0; k < 37; ++k) {
    Bf16Weight broken = c;
    broken.x = c.x.clone();
    broken.x.mutable_data<bfloat16>()[37 + k] = std::nanf("");
    Array y = broken.y();
    for (int64_t i = 0; i < 15; ++i) ASSERT_EQ(std::isnan(y.item(i)), i / 5 == 1) << k;
    broken = c;
    broken.W = c.W.clone();
    broken.W.mutable_data<float>()[2 * 37 + k] = std::nanf("");
    y = broken.y();
    for (int64_t i = 0; i < 15; ++i) ASSERT_EQ(std::isnan(y.item(i)), i % 5 == 2) << k;
  }
}

TEST(WeightInBf16, OfNothing) {
  EXPECT_EQ(Bf16Weight(0, 5, 3).y().shape(), (Shape{0, 3}));
  EXPECT_EQ(Bf16Weight(4, 5, 0).y().shape(), (Shape{4, 0}));
  EXPECT_EQ(Bf16Weight(0, 0, 0).y().shape(), (Shape{0, 0}));
  for (InputFunction f : {InputFunction::identity, InputFunction::gelu}) {
    Bf16Weight c(4, 0, 3);
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_EQ(bits_of(c.y(true, f).rows(i, i + 1)), bits_of(c.b.cast(DType::bf16)));
    EXPECT_EQ(bits_of(c.y(false, f)), std::vector<uint16_t>(12, 0));
  }
}

TEST(WeightInBf16, IsHalfAsLarge) {
  Array W = normal_numbers({65, 70}, 7);
  PackedWeight rounded(W, DType::bf16);
  EXPECT_EQ(rounded.dtype(), DType::bf16);
  EXPECT_EQ(rounded.shape(), (Shape{65, 70}));
  EXPECT_EQ(rounded.values().to_vector<float>(), W.cast(DType::bf16).cast(DType::f32).to_vector<float>());
  EXPECT_EQ(rounded.bytes(), 128 * 96 * 2);  // in whole blocks of 64 and 32
  EXPECT_EQ(PackedWeight(normal_numbers({128, 192}, 1), DType::bf16).bytes(), 128 * 192 * 2);
}

TEST(WeightInBf16, RefusesWhatDoesntFit) {
  Bf16Weight c(4, 6, 3);
  PackedWeight W(c.W, DType::bf16);
  auto of = [&](const Tensor& x, const Tensor& b) { return message_of([&] { linear(x, W, b); }); };
  EXPECT_EQ(of(c.x.cast(DType::f32), {}),
            "[linear] x must be bf16 and b f32 where W is bf16: x is f32, b is none");
  EXPECT_EQ(of(c.x, c.b.cast(DType::bf16)),
            "[linear] x must be bf16 and b f32 where W is bf16: x is bf16, b is bf16");
  EXPECT_EQ(of(normal_numbers({4, 5}, 1, DType::bf16), {}),
            "[linear] x must be [..., in]: x is [4, 5], W is [3, 6]");
  EXPECT_EQ(of(c.x, normal_numbers({4}, 1)), "[linear] b must be [out]: b is [4], W is [3, 6]");
  Tensor b = Tensor::parameter(c.b);
  EXPECT_EQ(message_of([&] { backward(sum(linear(c.x, W, b))); }),
            "[linear] a weight that was packed once and for all has no gradient");
}

TEST(WeightInBf16, LeadingAxesAreRows) {
  Bf16Weight c(15, 20, 7);
  std::vector<uint16_t> flat = bits_of(c.y());
  Array y = linear(c.x.reshape({3, 5, 20}), PackedWeight(c.W, DType::bf16), c.b).array();
  EXPECT_EQ(y.shape(), (Shape{3, 5, 7}));
  EXPECT_EQ(bits_of(y), flat);
}

}  // namespace
}  // namespace bertie
