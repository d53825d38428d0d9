// What the case table doesn't hold: argmax, which has no gradient, equal maxima, and sums of many elements.
#include "bertie/ops/reduce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/layout.h"

namespace bertie {
namespace {

// Halves are added, so an element meets some 280 roundings; a running sum of all is wrong by a thousandth.
TEST(Sum, OfManyElementsStaysExact) {
  Tensor x = Array::full({1 << 20, 3}, 0.1, DType::f32);
  for (float value : mean(x, {{0}}).array().to_vector<float>()) EXPECT_NEAR(value, 0.1, 1e-6);
  EXPECT_NEAR(mean(x).item(), 0.1, 1e-6);
  EXPECT_NEAR(mean(reshape(x, {-1})).item(), 0.1, 1e-6);
}

TEST(Argmax, FindsTheFirstLargestAlongAnAxis) {
  Array x = Array::from(std::vector<double>{1, 5, 5, 0, -1, 2, 7, 7, 7, 3, 9, 4}, {2, 3, 2});
  auto along = [&](int axis) { return argmax(x, axis).to_vector<int64_t>(); };
  EXPECT_EQ(along(-1), (std::vector<int64_t>{1, 0, 1, 0, 0, 0}));
  EXPECT_EQ(along(1), (std::vector<int64_t>{1, 0, 2, 0}));
  EXPECT_EQ(along(0), (std::vector<int64_t>{1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(argmax(x, 1).shape(), (Shape{2, 2}));
}

// Few different values, so that each group has its largest many times. [a, b, c] in each choice of axes.
TEST(Max, TheFirstOfEqualMaximaGetsTheGradient) {
  const int64_t extents[] = {7, 37, 65};
  Random random(1);
  std::vector<double> x(7 * 37 * 65), dy;
  for (double& value : x) value = static_cast<double>(random.below(4));
  for (int choice = 1; choice < 8; ++choice) {
    std::vector<int> axes;
    for (int axis = 0; axis < 3; ++axis)
      if (choice >> axis & 1) axes.push_back(axis);
    Tensor parameter = Tensor::parameter(Array::from(x, {7, 37, 65}));
    Tensor y = max(parameter, {axes, true});
    dy.resize(y.array().size());
    for (double& value : dy) value = random.normal();
    backward(y, Array::from(dy, y.shape()));
    std::vector<int64_t> first(dy.size(), -1);
    for (int64_t i = 0; i < std::ssize(x); ++i) {
      int64_t group = 0;
      for (int axis = 0, at[] = {static_cast<int>(i / 65 / 37), static_cast<int>(i / 65 % 37),
                                 static_cast<int>(i % 65)};
           axis < 3; ++axis)
        if (!(choice >> axis & 1)) group = group * extents[axis] + at[axis];
      if (first[group] < 0 || x[i] > x[first[group]]) first[group] = i;
    }
    std::vector<double> expected(x.size(), 0);
    for (size_t group = 0; group < dy.size(); ++group) {
      expected[first[group]] = dy[group];
      EXPECT_EQ(y.array().item(static_cast<int64_t>(group)), x[first[group]]) << choice;
    }
    EXPECT_EQ(parameter.grad().to_vector<double>(), expected) << choice;
  }
}

TEST(Argmax, AgreesWithASearchAlongEachAxis) {
  constexpr int64_t a = 37, b = 65, c = 29;
  Random random(2);
  std::vector<float> x(a * b * c);
  for (float& value : x) value = static_cast<float>(random.below(9));
  Array values = Array::from(x, {a, b, c});
  for (int axis = 0; axis < 3; ++axis) {
    int64_t inner = axis == 0 ? b * c : axis == 1 ? c : 1, count = values.shape()[axis];
    std::vector<int64_t> expected;
    for (int64_t outer = 0; outer < values.size() / inner / count; ++outer)
      for (int64_t i = 0; i < inner; ++i) {
        int64_t best = 0;
        auto at = [&](int64_t k) { return x[(outer * count + k) * inner + i]; };
        for (int64_t k = 1; k < count; ++k)
          if (at(k) > at(best)) best = k;
        expected.push_back(best);
      }
    EXPECT_EQ(argmax(values, axis).to_vector<int64_t>(), expected) << axis;
  }
}

TEST(Argmax, CountsNaNAsTheLargest) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(argmax(Array::from(std::vector<float>{1, nan, 9, nan})).item(), 1);
  EXPECT_TRUE(std::isnan(max(Array::from(std::vector<float>{1, nan, 9})).item()));
}

TEST(Argmax, IsTheSameInPartsAsInOneTask) {
  std::vector<float> values;
  for (int i = 0; i < 300 * 700; ++i) values.push_back(static_cast<float>(i * 7919 % 10007));
  Array index = argmax(Array::from(values, {300, 700}));
  for (int64_t row = 0; row < 300; ++row) {
    auto begin = values.begin() + row * 700;
    ASSERT_EQ(index.data<int64_t>()[row], std::max_element(begin, begin + 700) - begin);
  }
}

// Elements that no exponential can take, and rows that a mask left empty.
TEST(LogSumExp, FarFromZeroAndOfNothing) {
  double inf = std::numeric_limits<double>::infinity();
  for (DType type : {DType::f64, DType::f32}) {
    Array values = Array::from(std::vector<double>{1000, 1000, -inf, -inf, -1000, -inf}, {3, 2}).cast(type);
    Tensor x = Tensor::parameter(values);
    Tensor y = log_sum_exp(x, {{1}});
    EXPECT_NEAR(y.array().item(0), 1000 + std::log(2), type == DType::f64 ? 1e-12 : 1e-4);
    EXPECT_EQ(y.array().item(1), -inf);
    EXPECT_EQ(y.array().item(2), -1000);
    backward(y, Array::full({3}, 1, type));
    std::vector<double> expected{0.5, 0.5, 0, 0, 1, 0};
    for (int64_t i = 0; i < 6; ++i) EXPECT_NEAR(x.grad().item(i), expected[i], 1e-4) << i;
    // The same along the other axis, whose elements don't lie side by side.
    EXPECT_EQ(log_sum_exp(transpose(values), {{0}}).array().item(2), -1000);
    EXPECT_EQ(log_sum_exp(Array::zeros({2, 0}, type), {{1}}).array().item(1), -inf);
  }
}

}  // namespace
}  // namespace bertie
