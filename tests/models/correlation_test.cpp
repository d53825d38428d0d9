// By hand; tests/models/metrics_reference_test.cpp compares with scipy.
#include "bertie/models/correlation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(Correlation, OfNumbersAndOfRanks) {
  std::vector<double> x{1, 2, 3, 4}, y{1, 8, 27, 64}, tied{1, 2, 2, 1};
  // Deviations −1.5 … 1.5 and −24, −17, 2, 39.
  EXPECT_DOUBLE_EQ(pearson_correlation(x, y),
                   (1.5 * 24 + 0.5 * 17 + 0.5 * 2 + 1.5 * 39) / std::sqrt(5.0 * (576 + 289 + 4 + 1521)));
  EXPECT_DOUBLE_EQ(spearman_correlation(x, y), 1);
  EXPECT_NEAR(spearman_correlation(x, tied), 0, 1e-15);  // ranks 1.5, 3.5, 3.5, 1.5
}

TEST(Correlation, OfFewerThanTwoPairsIsUnknown) {
  std::vector<double> none, one{1}, two{1, 2};
  for (auto correlation : {pearson_correlation, spearman_correlation}) {
    EXPECT_TRUE(std::isnan(correlation(none, none)));
    EXPECT_TRUE(std::isnan(correlation(one, one)));
    EXPECT_DOUBLE_EQ(correlation(two, two), 1);
  }
  EXPECT_EQ(message_of([&] { pearson_correlation(one, two); }),
            "[pearson_correlation] x and y must be equally long, got 1 and 2");
  EXPECT_EQ(message_of([&] { spearman_correlation(two, none); }),
            "[spearman_correlation] x and y must be equally long, got 2 and 0");
}

}  // namespace
}  // namespace bertie
