// Where an elementwise operation has a kink or an end, and what the case table can't say of selections.
#include "bertie/ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/isa.h"
#include "bertie/ops/reduce.h"

namespace bertie {
namespace {

using Numbers = std::vector<double>;
constexpr double inf = std::numeric_limits<double>::infinity();

struct Result {
  Numbers y, gradient;
};

// y and the gradient of its sum, on every instruction set and in both types: all must be the same numbers.
template <class Op>
Result run(Op op, const Numbers& values) {
  Result first;
  Isa best = isa();
  for (Isa instructions : available_isas()) {
    set_isa(instructions);
    for (DType type : {DType::f64, DType::f32}) {
      Tensor x = Tensor::parameter(Array::from(values).cast(type));
      Tensor y = op(x);
      backward(sum(y));
      Result result{y.array().cast(DType::f64).to_vector<double>(),
                    x.grad().cast(DType::f64).to_vector<double>()};
      if (first.y.empty()) first = result;
      EXPECT_EQ(result.y, first.y);
      EXPECT_EQ(result.gradient, first.gradient);
    }
  }
  set_isa(best);
  return first;
}

TEST(Elementwise, GradientsAtKinks) {
  Result a = run(bertie::abs, {-2, -0.0, 0, 3});
  EXPECT_EQ(a.y, (Numbers{2, 0, 0, 3}));
  EXPECT_EQ(a.gradient, (Numbers{-1, 0, 0, 1}));
  EXPECT_EQ(run(relu, {-2, 0, 3}).gradient, (Numbers{0, 0, 1}));

  // As PyTorch has it, a bound belongs to the inside.
  Result c = run([](const Tensor& x) { return clamp(x, -1, 2); }, {-inf, -1.5, -1, 0.5, 2, 2.5, inf});
  EXPECT_EQ(c.y, (Numbers{-1, -1, -1, 0.5, 2, 2, 2}));
  EXPECT_EQ(c.gradient, (Numbers{0, 0, 1, 1, 1, 0, 0}));
  Result open = run([](const Tensor& x) { return clamp(x, -inf, 2); }, {-100, 2.5});
  EXPECT_EQ(open.y, (Numbers{-100, 2}));
  EXPECT_TRUE(std::isnan(clamp(Array::full({1}, NAN, DType::f32), -1, 1).item()));
}

TEST(Elementwise, PowersAtTheEnds) {
  auto power = [](double exponent) { return [exponent](const Tensor& x) { return pow(x, exponent); }; };
  Result constant = run(power(0), {-2, 0, 3});
  EXPECT_EQ(constant.y, (Numbers{1, 1, 1}));
  EXPECT_EQ(constant.gradient, (Numbers{0, 0, 0}));
  EXPECT_EQ(run(power(1), {-2, 0}).gradient, (Numbers{1, 1}));
  EXPECT_EQ(run(power(2), {-2, 0}).gradient, (Numbers{-4, 0}));
  Result inverse = run(power(-1), {-2, 0});
  EXPECT_EQ(inverse.y, (Numbers{-0.5, inf}));
  EXPECT_EQ(inverse.gradient, (Numbers{-0.25, -inf}));
  EXPECT_EQ(run(power(0.5), {0, 4}).gradient, (Numbers{inf, 0.25}));
  EXPECT_TRUE(std::isnan(pow(Array::full({1}, -1, DType::f32), 0.5).item()));
}

// NaN and infinities that aren't chosen leave no trace, in the gradient neither.
TEST(Elementwise, WhatIsNotChosenLeavesNoTrace) {
  Array chosen = Array::from(std::vector<bool>{false, true, false, true});
  Result w = run([&](const Tensor& x) { return where(chosen, x, Tensor(Array::full({}, 7, x.dtype()))); },
                 {NAN, 2, inf, 4});
  EXPECT_EQ(w.y, (Numbers{7, 2, 7, 4}));
  EXPECT_EQ(w.gradient, (Numbers{0, 1, 0, 1}));
  Result m = run([&](const Tensor& x) { return masked_fill(x, chosen, -inf); }, {1, NAN, 3, NAN});
  EXPECT_EQ(m.y, (Numbers{1, -inf, 3, -inf}));
  EXPECT_EQ(m.gradient, (Numbers{1, 0, 1, 0}));
}

// The condition may change after the forward pass: the gradient is that of the choice that was made.
TEST(Elementwise, AChoiceStays) {
  Array chosen = Array::from(std::vector<bool>{false, true});
  Tensor x = Tensor::parameter(Array::from(std::vector<double>{1, 2}));
  Tensor y = masked_fill(x, chosen, 0);
  chosen.mutable_data<bool>()[1] = false;
  backward(sum(y));
  EXPECT_EQ(x.grad().to_vector<double>(), (Numbers{1, 0}));
}

}  // namespace
}  // namespace bertie
