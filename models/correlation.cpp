#include "bertie/models/correlation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// x − its mean, scaled so that the largest magnitude is 1: squares of very large or small numbers wouldn't
// fit. NaNs where x is constant or has an infinity.
std::vector<double> deviations(std::span<const double> x) {
  double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size()), largest = 0;
  std::vector<double> result(x.size());
  for (size_t i = 0; i < x.size(); i++) {
    result[i] = x[i] - mean;
    largest = std::max(largest, std::abs(result[i]));
  }
  // The mean of equal numbers may be off by a rounding.
  bool constant = std::all_of(x.begin(), x.end(), [&](double value) { return value == x[0]; });
  for (double& value : result) value = constant ? std::numeric_limits<double>::quiet_NaN() : value / largest;
  return result;
}

// Ranks from 1; equal numbers get the mean of theirs. NaNs where there is a NaN, which has no rank.
std::vector<double> ranks(std::span<const double> x) {
  std::vector<double> result(x.size(), std::numeric_limits<double>::quiet_NaN());
  if (std::any_of(x.begin(), x.end(), [](double value) { return std::isnan(value); })) return result;
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && x[order[end]] == x[order[begin]]) end++;
    double rank = static_cast<double>(begin + 1 + end) / 2;
    for (size_t i = begin; i < end; i++) result[order[i]] = rank;
  }
  return result;
}

void check_pairs(const char* where, std::span<const double> x, std::span<const double> y) {
  BERTIE_CHECK(x.size() == y.size(), where, "x and y must be equally long, got {} and {}", x.size(),
               y.size());
}

}  // namespace

double pearson_correlation(std::span<const double> x, std::span<const double> y) {
  check_pairs("pearson_correlation", x, y);
  if (x.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> dx = deviations(x), dy = deviations(y);
  double xx = std::inner_product(dx.begin(), dx.end(), dx.begin(), 0.0);
  double yy = std::inner_product(dy.begin(), dy.end(), dy.begin(), 0.0);
  double xy = std::inner_product(dx.begin(), dx.end(), dy.begin(), 0.0);
  return std::clamp(xy / (std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

double spearman_correlation(std::span<const double> x, std::span<const double> y) {
  check_pairs("spearman_correlation", x, y);
  return pearson_correlation(ranks(x), ranks(y));
}

}  // namespace bertie
