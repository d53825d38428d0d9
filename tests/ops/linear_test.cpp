// linear() of a function of its input, against the composition that it replaces.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/matmul.h"

namespace bertie {
namespace {

Array random_array(const Shape& shape, uint64_t seed) {
  std::vector<double> values(shape.size());
  Random random(seed);
  for (double& value : values) value = 2 * random.normal();
  return Array::from(values, shape);
}

struct LinearResult {
  Array y;
  std::vector<Array> gradients;  // of x, W, b
};

template <class F>
LinearResult run_linear(F f, DType type) {
  std::vector<Tensor> in;
  for (const Array& value : {random_array({70, 33}, 1), random_array({9, 33}, 2), random_array({9}, 3)})
    in.push_back(Tensor::parameter(value.cast(type)));
  Tensor y = f(in[0], in[1], in[2]);
  backward(y, random_array({70, 9}, 4).cast(type));
  return {y.array(), {in[0].grad(), in[1].grad(), in[2].grad()}};
}

// The largest difference, relative to the largest value of `exact`.
double error(const Array& x, const Array& exact) {
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < exact.size(); ++i) {
    largest = std::max(largest, std::abs(exact.item(i)));
    double d = std::abs(x.item(i) - exact.item(i));
    if (std::isnan(d)) return d;
    difference = std::max(difference, d);
  }
  return difference / largest;
}

TEST(Linear, AgreesWithTheCompositionItReplaces) {
  std::pair<InputFunction, Tensor (*)(const Tensor&)> functions[] = {{InputFunction::gelu, gelu},
                                                                     {InputFunction::gelu_tanh, gelu_tanh}};
  for (auto [f, apart] : functions) {
    auto fused = [f = f](const Tensor& x, const Tensor& W, const Tensor& b) { return linear(x, W, b, f); };
    auto composed = [apart = apart](const Tensor& x, const Tensor& W, const Tensor& b) {
      return linear(apart(x), W, b);
    };
    for (DType type : {DType::f64, DType::f32}) {
      // A parameter keeps its memory; what an operation made gives it to its gradient.
      auto in_place = [&](const Tensor& x, const Tensor& W, const Tensor& b) {
        return fused(scale(x, 1), W, b);
      };
      LinearResult exact = run_linear(composed, type);
      double bound = type == DType::f64 ? 1e-14 : 1e-6;
      for (const LinearResult& result : {run_linear(fused, type), run_linear(in_place, type)}) {
        EXPECT_LE(error(result.y, exact.y), bound);
        for (int i = 0; i < 3; ++i) EXPECT_LE(error(result.gradients[i], exact.gradients[i]), bound) << i;
      }
    }
  }
}

TEST(Linear, OfAFunctionKeepsItsInputAlone) {
  int64_t T = 64, in = 256;
  Tensor x = Tensor::parameter(random_array({T, in}, 1)), W = Tensor::parameter(random_array({1, in}, 2));
  auto bytes_with = [](const Tensor&) { return memory_counters().live_bytes; };
  int64_t composed = bytes_with(linear(gelu(scale(x, 1)), W));
  int64_t fused = bytes_with(linear(scale(x, 1), W, {}, InputFunction::gelu));
  EXPECT_EQ(composed - fused, T * in * 8);
  // The input is used again after the pass through linear(): it must not have given its memory away.
  Tensor h = scale(x, 1), y = linear(h, W, {}, InputFunction::gelu);
  Array value = h.array().clone();
  backward(y, Array::full(y.shape(), 1, DType::f64));
  EXPECT_EQ(h.array().to_vector<double>(), value.to_vector<double>());
}

}  // namespace
}  // namespace bertie
