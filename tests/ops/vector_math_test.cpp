// The polynomials of ops/kernels/vector_math.h, through the operations that use them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "bertie/autograd/isa.h"
#include "bertie/ops/dropout.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/kernels/elementwise.h"
#include "bertie/ops/softmax.h"

namespace bertie {
namespace {

// The distance from one float to the next at this magnitude.
double unit_in_the_last_place(double exact) {
  float magnitude = std::max(std::abs(static_cast<float>(exact)), std::numeric_limits<float>::min());
  return static_cast<double>(std::nextafter(magnitude, std::numeric_limits<float>::infinity())) - magnitude;
}

// The largest error, in units in the last place, over a dense grid, on every instruction set.
double largest_error(UnaryLoop<float> ElementwiseKernels<float>::*loop, double low, double high,
                     const std::function<double(double)>& exact) {
  std::vector<float> x, y;
  constexpr int points = 200'001;
  for (int i = 0; i < points; ++i) x.push_back(static_cast<float>(low + (high - low) * i / (points - 1)));
  for (float small : {1e-30f, 1e-20f, 1e-10f, 1e-6f, 1e-4f, 1e-3f, 1e-2f})
    if (low < 0) x.push_back(small), x.push_back(-small);
  y.resize(x.size());
  double largest = 0;
  Isa best = isa();
  for (Isa instructions : available_isas()) {
    set_isa(instructions);
    (elementwise_kernels<float>().*loop)(x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      double error = std::abs(y[i] - exact(x[i])) / unit_in_the_last_place(exact(x[i]));
      EXPECT_FALSE(std::isnan(error)) << x[i];
      largest = std::max(largest, error);
    }
  }
  set_isa(best);
  return largest;
}

using K = ElementwiseKernels<float>;

TEST(VectorMath, IsRightToAFewUnitsInTheLastPlace) {
  EXPECT_LE(largest_error(&K::exp, -87, 88.7, [](double x) { return std::exp(x); }), 2);
  for (auto [low, high] : {std::pair{0.01, 4.0}, {4.0, 1e6}, {1e-44, 1e-36}})
    EXPECT_LE(largest_error(&K::log, low, high, [](double x) { return std::log(x); }), 2) << low;
  EXPECT_LE(largest_error(&K::tanh, -12, 12, [](double x) { return std::tanh(x); }), 4);
  EXPECT_LE(largest_error(&K::sigmoid, -80, 80, [](double x) { return 1 / (1 + std::exp(-x)); }), 4);
  EXPECT_LE(largest_error(&K::softplus, -86, 80, [](double x) { return std::log1p(std::exp(x)); }), 4);
  EXPECT_LE(largest_error(&K::silu, -80, 80, [](double x) { return x / (1 + std::exp(-x)); }), 4);
  auto gelu_exact = [](double x) { return 0.5 * x * std::erfc(-x * M_SQRT1_2); };
  EXPECT_LE(largest_error(&K::gelu, -13, 20, gelu_exact), 8);
  auto gelu_tanh_exact = [](double x) {
    return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  };
  EXPECT_LE(largest_error(&K::gelu_tanh, -1, 20, gelu_tanh_exact), 4);
  // In the left tail the exponent's rounding is multiplied by the exponent, here up to 18.
  EXPECT_LE(largest_error(&K::gelu_tanh, -5, -1, gelu_tanh_exact), 64);
}

TEST(VectorMath, KeepsInfinitiesAndNaN) {
  float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Isa best = isa();
  for (Isa instructions : available_isas()) {
    set_isa(instructions);
    auto at = [](Tensor (*op)(const Tensor&), float x) { return op(Array::full({1}, x, DType::f32)).item(); };
    EXPECT_EQ(at(bertie::exp, inf), inf);
    EXPECT_EQ(at(bertie::exp, -inf), 0);
    EXPECT_EQ(at(bertie::exp, 89), inf);
    EXPECT_NEAR(at(bertie::exp, -100) / std::exp(-100.0), 1, 0.02);  // a denormal
    EXPECT_EQ(at(bertie::log, inf), inf);
    EXPECT_EQ(at(bertie::log, 0), -inf);
    EXPECT_TRUE(std::isnan(at(bertie::log, -1)));
    EXPECT_EQ(at(bertie::tanh, inf), 1);
    EXPECT_EQ(at(bertie::tanh, -inf), -1);
    EXPECT_EQ(at(sigmoid, -inf), 0);
    EXPECT_EQ(at(sigmoid, inf), 1);
    EXPECT_EQ(at(gelu, 100), 100);
    EXPECT_EQ(at(gelu, -100), 0);
    EXPECT_EQ(at(softplus, inf), inf);
    EXPECT_EQ(at(softplus, -inf), 0);
    for (auto op : {gelu, gelu_tanh, silu}) {
      EXPECT_EQ(at(op, inf), inf);
      EXPECT_EQ(at(op, -inf), 0);
    }
    for (auto gradient :
         {&K::gelu_gradient, &K::gelu_tanh_gradient, &K::silu_gradient, &K::softplus_gradient}) {
      float x[] = {inf, -inf, 1e30f, -1e30f, nan}, dy[] = {1, 1, 1, 1, 1}, dx[5];
      (elementwise_kernels<float>().*gradient)(x, dy, dx, 5);
      for (int i = 0; i < 4; ++i) EXPECT_EQ(dx[i], i % 2 == 0 ? 1 : 0);
      EXPECT_TRUE(std::isnan(dx[4]));
    }
    for (auto op : {bertie::exp, bertie::log, bertie::sqrt, bertie::tanh, sigmoid, relu, bertie::abs,
                    softplus, silu, gelu, gelu_tanh})
      EXPECT_TRUE(std::isnan(at(op, nan)));
    Array row = Array::from(std::vector<float>{1, nan, 2});
    for (auto op : {softmax, log_softmax})
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(op(row).array().item(i)));
    Array far = Array::from(std::vector<float>{1000, -1000, 999});
    EXPECT_NEAR(softmax(far).array().item(0), 1 / (1 + std::exp(-1)), 1e-6);
    EXPECT_EQ(softmax(far).array().item(1), 0);
  }
  set_isa(best);
}

TEST(Dropout, KeepsTheRightShareAndScale) {
  Array ones = Array::full({1000, 300}, 1, DType::f32);
  std::vector<float> y = dropout(ones, {{0, 400, 1000}}, {0.1, 3, 7, 1}).array().to_vector<float>();
  double kept = 0;
  for (float value : y) {
    if (value == 0) continue;
    EXPECT_FLOAT_EQ(value, 1 / 0.9f);
    ++kept;
  }
  EXPECT_NEAR(kept / 300'000, 0.9, 5 * std::sqrt(0.09 / 300'000));
}

TEST(Dropout, DoesNotDependOnHowTheBatchIsCut) {
  Array x = Array::full({30, 70}, 1, DType::f32);
  DropoutMask mask{0.5, 3, 7, 1};
  std::vector<float> whole = dropout(x, {{0, 10, 18, 30}}, mask).array().to_vector<float>();
  Packing first{{0, 10}, 0}, rest{{0, 8, 20}, 1};
  std::vector<float> parts = dropout(x.rows(0, 10), first, mask).array().to_vector<float>();
  for (float value : dropout(x.rows(10, 30), rest, mask).array().to_vector<float>()) parts.push_back(value);
  EXPECT_EQ(parts, whole);
  for (DropoutMask other : {DropoutMask{0.5, 4, 7, 1}, DropoutMask{0.5, 3, 8, 1}, DropoutMask{0.5, 3, 7, 2}})
    EXPECT_NE(dropout(x, {{0, 10, 18, 30}}, other).array().to_vector<float>(), whole);
}

}  // namespace
}  // namespace bertie
