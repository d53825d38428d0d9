#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bertie/nn/layers.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(Initializer, HasTheRightSpread) {
  Array n = normal({100'001}, 1, 0.5, 3, 0, DType::f64), u = uniform({100'001}, -2, 1, 3, 1, DType::f64);
  auto moments = [](const Array& x) {
    double mean = 0, square = 0;
    for (double value : x.to_vector<double>()) mean += value, square += value * value;
    mean /= static_cast<double>(x.size());
    return std::pair(mean, square / static_cast<double>(x.size()) - mean * mean);
  };
  auto [mean, variance] = moments(n);
  EXPECT_NEAR(mean, 1, 5 * 0.5 / std::sqrt(1e5));
  EXPECT_NEAR(variance, 0.25, 0.005);
  std::tie(mean, variance) = moments(u);
  EXPECT_NEAR(mean, -0.5, 5 * 0.87 / std::sqrt(1e5));
  EXPECT_NEAR(variance, 0.75, 0.01);
  for (double value : u.to_vector<double>()) ASSERT_TRUE(value >= -2 && value < 1);
  EXPECT_EQ(n.to_vector<double>(), normal({100'001}, 1, 0.5, 3, 0, DType::f64).to_vector<double>());
  EXPECT_NE(n.item(), normal({1}, 1, 0.5, 3, 1, DType::f64).item());
  EXPECT_DOUBLE_EQ(xavier_bound(3, 5), std::sqrt(0.75));
  EXPECT_DOUBLE_EQ(kaiming_bound(6), 1);
  Initializer fan_in = Initializer::fan_in(1, DType::f64);
  Array bias = Linear(0, 3, fan_in).parameters()[1].tensor.array();
  for (double value : bias.to_vector<double>()) EXPECT_LE(std::abs(value), 1);
}

// Smallest and largest element.
std::pair<double, double> range_of(const Array& x) {
  std::vector<double> values = x.to_vector<double>();
  auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high};
}

TEST(Initializer, EachKindStartsWithinItsBounds) {
  Shape shape{300, 100};  // in = 100
  auto expect_range = [&](Initializer init, double bound, double bias_bound) {
    auto [low, high] = range_of(init.weight(shape, 100));
    EXPECT_TRUE(low >= -bound && low < -0.99 * bound) << low << " " << bound;
    EXPECT_TRUE(high <= bound && high > 0.99 * bound) << high << " " << bound;
    auto [bias_low, bias_high] = range_of(init.bias({3000}, 100));
    EXPECT_TRUE(bias_low >= -bias_bound && bias_low <= -0.99 * bias_bound) << bias_low;
    EXPECT_TRUE(bias_high <= bias_bound && bias_high >= 0.99 * bias_bound) << bias_high;
  };
  expect_range(Initializer::fan_in(1, DType::f64), 0.1, 0.1);
  expect_range(Initializer::xavier(1, DType::f64), std::sqrt(6.0 / 400), 0);
  expect_range(Initializer::kaiming(1, DType::f64), std::sqrt(6.0 / 100), 0);
  auto spread = [](const Array& x) {
    double squares = 0;
    for (double value : x.to_vector<double>()) squares += value * value;
    return std::sqrt(squares / static_cast<double>(x.size()));
  };
  Initializer normal = Initializer::normal(0.02, 1, DType::f64);
  Array first = normal.weight(shape, 100), second = normal.weight(shape, 100);
  EXPECT_NEAR(spread(first), 0.02, 0.0005);
  EXPECT_NE(first.to_vector<double>(), second.to_vector<double>());
  EXPECT_NEAR(spread(normal.embedding(shape)), 0.02, 0.0005);
  EXPECT_EQ(spread(normal.bias({3000}, 100)), 0);
  Initializer other = Initializer::fan_in(1, DType::f64);
  EXPECT_NEAR(spread(other.embedding(shape)), 1, 0.02);
  EXPECT_NE(other.weight(shape, 100).to_vector<double>(), other.weight(shape, 100).to_vector<double>());
}

TEST(Initializer, SetsEveryElement) {
  std::vector<double> odd = normal({100'001}, 0, 1, 3, 0, DType::f64).to_vector<double>(),
                      even = normal({100'002}, 0, 1, 3, 0, DType::f64).to_vector<double>();
  even.pop_back();
  EXPECT_EQ(odd, even);
}

}  // namespace
}  // namespace bertie
