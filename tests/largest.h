// The largest magnitude of some numbers, and the largest difference of two lists of them.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace bertie {

inline double largest(const std::vector<double>& x) {
  double result = 0;
  for (double value : x) result = std::max(result, std::abs(value));
  return result;
}

// NaN where either holds one, so that no bound is kept. Of vectors of different lengths the test fails.
inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double result = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) return std::numeric_limits<double>::quiet_NaN();
    result = std::max(result, std::abs(a[i] - b[i]));
  }
  return result;
}

}  // namespace bertie
