// cast() and what is made of it, and the operations whose parameters stay f32 where their input is bf16.
#include "bertie/ops/cast.h"

#include <gtest/gtest.h>

#include "bertie/autograd/backward.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layer_norm.h"
#include "bertie/ops/matmul.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

Array three(DType type) { return Array::from(std::vector<double>{1 + 0x1p-9, -3, 257}).cast(type); }

std::vector<double> as_numbers(const Array& array) { return array.cast(DType::f64).to_vector<double>(); }

const std::vector<double> three_in_bf16{1, -3, 256};

TEST(Cast, GivesTheNearestOfTheType) {
  for (DType from : {DType::f32, DType::f64}) {
    Tensor y = cast(three(from), DType::bf16);
    EXPECT_EQ(y.dtype(), DType::bf16);
    EXPECT_EQ(as_numbers(y.array()), three_in_bf16);
  }
  Tensor wide = cast(three(DType::bf16), DType::f32);
  EXPECT_EQ(wide.dtype(), DType::f32);
  EXPECT_EQ(as_numbers(wide.array()), three_in_bf16);
  EXPECT_EQ(as_numbers(cast(three(DType::f64), DType::f32).array()), as_numbers(three(DType::f64)));
  EXPECT_EQ(cast(Array::zeros({0, 3}, DType::f32), DType::bf16).shape(), (Shape{0, 3}));
}

TEST(Cast, OfItsOwnTypeIsTheTensorItself) {
  for (DType type : {DType::f32, DType::f64, DType::bf16}) {
    Tensor x = three(type), y = cast(x, type);
    EXPECT_EQ(y.array().storage(), x.array().storage());
  }
  Tensor parameter = Tensor::parameter(three(DType::f32)), y = cast(parameter, DType::f32);
  EXPECT_EQ(y.node(), parameter.node());
}

// A leaf's gradient is of its type, whatever the type of what was made of it.
TEST(Cast, TheGradientIsCastBack) {
  for (DType own : {DType::f32, DType::f64}) {
    for (DType other : {DType::f32, DType::f64, DType::bf16}) {
      Tensor x = Tensor::parameter(three(own));
      backward(scale(cast(x, other), 2), Array::from(std::vector<double>{1.5, 0, -4}).cast(other));
      ASSERT_EQ(x.grad().dtype(), own) << name(other);
      EXPECT_EQ(as_numbers(x.grad()), (std::vector<double>{3, 0, -8})) << name(other);
    }
  }
  // The other way: what comes in f32 is rounded for an input of bf16.
  Tensor x = Tensor::parameter(three(DType::f32));
  backward(cast(cast(x, DType::bf16), DType::f32), three(DType::f32));
  EXPECT_EQ(as_numbers(x.grad()), three_in_bf16);
  EXPECT_FALSE(cast(three(DType::f32), DType::bf16).requires_grad());
}

TEST(Cast, UnroundedIsWhatATypeIsComputedIn) {
  Tensor x = Tensor::parameter(three(DType::f32)), rounded = cast(x, DType::bf16);
  EXPECT_EQ(unrounded(x).node(), x.node());
  EXPECT_EQ(unrounded(three(DType::f64)).dtype(), DType::f64);
  EXPECT_EQ(unrounded(rounded).dtype(), DType::f32);
  EXPECT_EQ(as_numbers(unrounded(rounded).array()), three_in_bf16);
  EXPECT_TRUE(unrounded(rounded).requires_grad());
}

// (x + 1) · 3 − x in bf16 would be rounded after each of its steps.
TEST(Cast, ByWayOfF32RoundsOnce) {
  auto operation = [](const Tensor& a, const Tensor& b) { return (a + 1) * 3 - b; };
  Tensor x = Tensor::parameter(three(DType::f32)), stored = cast(x, DType::bf16);
  Tensor y = by_way_of_f32(operation, stored, stored);
  EXPECT_EQ(y.dtype(), DType::bf16);
  EXPECT_EQ(as_numbers(y.array()), (std::vector<double>{5, -3, 516}));  // 515 is a middle
  EXPECT_EQ(as_numbers(operation(stored, stored).array())[2], 512);     // 257 → 256, 768, 768 − 256
  backward(y, Array::full({3}, 1, DType::bf16));
  EXPECT_EQ(as_numbers(x.grad()), (std::vector<double>{2, 2, 2}));
}

TEST(Cast, RefusesOtherTypes) {
  Tensor integers = Array::from(std::vector<int32_t>{1, 2});
  EXPECT_EQ(message_of([&] { cast(integers, DType::f32); }),
            "[cast] is from f32, f64 or bf16 to one of them: i32 to f32");
  EXPECT_EQ(message_of([&] { cast(integers, DType::i32); }),
            "[cast] is from f32, f64 or bf16 to one of them: i32 to i32");
  EXPECT_EQ(message_of([&] { cast(three(DType::bf16), DType::i64); }),
            "[cast] is from f32, f64 or bf16 to one of them: bf16 to i64");
  EXPECT_EQ(message_of([&] { cast(three(DType::f32), DType::f16); }),
            "[cast] is from f32, f64 or bf16 to one of them: f32 to f16");
  EXPECT_EQ(message_of([] { cast(Tensor(), DType::bf16); }), "[cast] needs a tensor with a value");
}

TEST(ParametersOfBf16, LinearTellsWhichTypesFit) {
  auto zeros = [](const Shape& shape, DType type) { return Tensor(Array::zeros(shape, type)); };
  auto message = [&](DType x, DType W, DType b) {
    return message_of([&] { linear(zeros({4, 3}, x), zeros({5, 3}, W), zeros({5}, b)); });
  };
  EXPECT_EQ(message(DType::bf16, DType::f32, DType::f32), "no error");
  EXPECT_EQ(message(DType::bf16, DType::bf16, DType::f32),
            "[linear] W and b must be f32 where x is bf16: W is bf16, b is f32");
  EXPECT_EQ(message(DType::bf16, DType::f32, DType::bf16),
            "[linear] W and b must be f32 where x is bf16: W is f32, b is bf16");
  EXPECT_EQ(message(DType::bf16, DType::f64, DType::f64),
            "[linear] W and b must be f32 where x is bf16: W is f64, b is f64");
  EXPECT_EQ(message(DType::f32, DType::f64, DType::f32),
            "[linear] W and b must be f32 where x is f32: W is f64, b is f32");
  EXPECT_EQ(message(DType::f64, DType::f32, DType::f64),
            "[linear] W and b must be f64 where x is f64: W is f32, b is f64");
  EXPECT_EQ(message_of([&] {
              linear(zeros({4, 3}, DType::bf16), zeros({5, 3}, DType::bf16), Tensor());
            }),
            "[linear] W and b must be f32 where x is bf16: W is bf16, b is none");
}

TEST(ParametersOfBf16, LayerNormTellsWhichTypesFit) {
  auto message = [&](DType x, DType weight, DType bias) {
    return message_of([&] {
      layer_norm(Array::zeros({4, 3}, x), Array::full({3}, 1, weight), Array::zeros({3}, bias), 1e-5);
    });
  };
  EXPECT_EQ(message(DType::bf16, DType::f32, DType::f32), "no error");
  EXPECT_EQ(message(DType::bf16, DType::bf16, DType::f32),
            "[layer_norm] weight and bias must be f32 [3], like the rows of bf16 x: got bf16 [3]");
  EXPECT_EQ(message(DType::bf16, DType::f32, DType::f64),
            "[layer_norm] weight and bias must be f32 [3], like the rows of bf16 x: got f64 [3]");
  EXPECT_EQ(message(DType::f64, DType::f32, DType::f64),
            "[layer_norm] weight and bias must be f64 [3], like the rows of f64 x: got f32 [3]");
}

// The gradients of parameters are f32, and never were anything else: 1 and 300 rows of 2⁻⁸ stay apart.
TEST(ParametersOfBf16, GradientsArentRounded) {
  std::vector<float> rows(301, 0x1p-8f);
  rows[0] = 1;
  Tensor W = Tensor::parameter(Array::full({1, 1}, 1, DType::f32)),
         b = Tensor::parameter(Array::full({1}, 1, DType::f32));
  Tensor x = Array::from(rows, {301, 1}).cast(DType::bf16);
  Tensor y = linear(x, W, b);
  EXPECT_EQ(y.dtype(), DType::bf16);
  backward(y, x.array());
  EXPECT_EQ(W.grad().item(), 1 + 300 * 0x1p-16);
  EXPECT_EQ(b.grad().item(), 1 + 300 * 0x1p-8);
  EXPECT_EQ(W.grad().dtype(), DType::f32);
}

// A weight that changes after the forward pass: what the backward pass would need is no more.
TEST(ParametersOfBf16, AChangeOfARoundedWeightIsNoticed) {
  Tensor x = Tensor::parameter(Array::full({2, 1}, 1, DType::f32)),
         W = Tensor::parameter(Array::full({1, 1}, 1, DType::f32));
  Tensor y = linear(cast(x, DType::bf16), W, Tensor());
  W.mutable_array().mutable_data<float>()[0] = 2;
  W.rounded();
  EXPECT_NE(message_of([&] { backward(y, Array::full({2, 1}, 1, DType::bf16)); }), "no error");
}

}  // namespace
}  // namespace bertie
