#include <gtest/gtest.h>

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

}  // namespace
}  // namespace bertie
