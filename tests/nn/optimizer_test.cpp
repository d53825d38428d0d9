#include <gtest/gtest.h>

#include <cmath>

#include "bertie/nn/initializer.h"
#include "bertie/nn/optimizer.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

TEST(Optimizer, RefusesGradientsOfAnEarlierStep) {
  TwoLayers model;
  ParameterBlock block(model);
  SGD optimizer(block);
  Tensor x = Array::full({5, 3}, 1, DType::f64), hidden = Array::full({5, 4}, 1, DType::f64);
  model.eval();
  backward(sum(model.forward(x)));
  optimizer.step(0.1);
  block.zero_grad();
  backward(sum(model.second.forward(hidden)));
  Array before = block.values().clone();
  EXPECT_EQ(message_of([&] { optimizer.step(0.1); }),
            "[optimizer] the loss doesn't reach these parameters: first.weight, first.bias");
  EXPECT_EQ(block.values().to_vector<double>(), before.to_vector<double>());
}

TEST(Optimizer, FollowsThePapersFormulas) {
  TwoParameters model;
  ParameterBlock block(model);
  AdamW optimizer(block, {0.9, 0.99, 1e-8, 0.1});
  double theta[2] = {2, 2}, m = 0, v = 0;
  for (int t = 1; t <= 3; ++t) {
    double g = 0.3 * t * 0.5;  // 0.5: the scale
    model.set_gradients(0.3 * t);
    optimizer.step(0.01, 0.5);
    m = 0.9 * m + 0.1 * g;
    v = 0.99 * v + 0.01 * g * g;
    double update = 0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.99, t))) + 1e-8);
    theta[0] = theta[0] * (1 - 0.01 * 0.1) - update;
    theta[1] = theta[1] - update;  // one axis: no decay
    EXPECT_NEAR(model.matrix.array().item(), theta[0], 1e-14);
    EXPECT_NEAR(model.vector.array().item(), theta[1], 1e-14);
  }
  EXPECT_EQ(optimizer.steps_done(), 3);
}

TEST(Optimizer, SgdHasMomentum) {
  TwoParameters model;
  ParameterBlock block(model);
  SGD optimizer(block, 0.5);
  model.set_gradients(1);
  optimizer.step(0.1);
  EXPECT_DOUBLE_EQ(model.matrix.array().item(), 1.9);
  model.set_gradients(1);
  optimizer.step(0.1);
  EXPECT_DOUBLE_EQ(model.matrix.array().item(), 1.9 - 0.15);
}

class OneNumber : public Module {
 public:
  explicit OneNumber(DType type) : value(add_parameter("value", Array::full({1}, 1, type))) {}
  Tensor value;
};

// The first step of Adam is as long as the learning rate, whatever the gradient's size.
TEST(Optimizer, AdamTakesGradientsOfAnySizeOrSaysNo) {
  for (double g : {1e-12, 1e-6, 1e6, 1e18}) {
    OneNumber model(DType::f32);
    ParameterBlock block(model);
    AdamW optimizer(block, {.epsilon = 1e-15});
    backward(sum(model.value * g));
    optimizer.step(0.25);
    EXPECT_NEAR(model.value.array().item(), 0.75, g < 1e-10 ? 1e-3 : 1e-6) << g;
  }
  {  // the square overflows: no step of 0, but a number that everybody sees
    OneNumber model(DType::f32);
    ParameterBlock block(model);
    AdamW optimizer(block, {});
    backward(sum(model.value * 1e20));
    optimizer.step(0.25);
    EXPECT_TRUE(std::isnan(model.value.array().item()));
  }
  {  // clipping brings it back
    OneNumber model(DType::f32);
    ParameterBlock block(model);
    AdamW optimizer(block, {});
    backward(sum(model.value * 1e20));
    EXPECT_NEAR(block.gradient_norm() / 1e20, 1, 1e-6);
    optimizer.step(0.25, clip_factor(block.gradient_norm(), 1));
    EXPECT_NEAR(model.value.array().item(), 0.75, 1e-6);
  }
  OneNumber single(DType::f32), twice(DType::f64);
  ParameterBlock of_single(single), of_double(twice);
  EXPECT_EQ(message_of([&] { AdamW(of_single, {.epsilon = 1e-20}); }),
            "[adam] epsilon must be at least 1e-15 for f32 parameters, got 1e-20");
  EXPECT_EQ(message_of([&] { AdamW(of_double, {.epsilon = 1e-20}); }), "no error");
}

TEST(Optimizer, RefusesWrongOptions) {
  TwoParameters model;
  ParameterBlock block(model);
  EXPECT_EQ(message_of([&] { SGD(block, 1); }), "[sgd] the momentum must be in 0 … 1 (1 excluded), got 1");
  EXPECT_EQ(message_of([&] {
              AdamW(block, {1, 0.9});
            }),
            "[adam] the betas must be in 0 … 1 (1 excluded), got 1 and 0.9");
  EXPECT_EQ(message_of([&] { SGD(block).step(-1); }), "[optimizer] the learning rate must be ≥ 0, got -1");
  EXPECT_EQ(message_of([&] {
              Adam(block, {0.9, 0.99, 1e-8, 0.1});
            }),
            "[adam] Adam has no weight decay; AdamW has");
}

// Large enough for several tasks, in two decay groups, with a gradient of its own for each element.
struct LargeModel : Module {
  LargeModel() {
    matrix = add_parameter("matrix", normal({300, 301}, 0, 1, 1, 0, DType::f64));
    vector = add_parameter("vector", normal({70'001}, 0, 1, 1, 1, DType::f64));
  }
  // Gradients of this step; returns them in the block's order.
  std::vector<double> set_gradients(uint64_t step) {
    Array of_matrix = normal({300, 301}, 0, 1, step, 2, DType::f64),
          of_vector = normal({70'001}, 0, 1, step, 3, DType::f64);
    matrix.zero_grad();
    vector.zero_grad();
    backward(sum(matrix * Tensor(of_matrix)) + sum(vector * Tensor(of_vector)));
    std::vector<double> all = of_matrix.to_vector<double>(), rest = of_vector.to_vector<double>();
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
  }
  Tensor matrix, vector;
};

TEST(Optimizer, UpdatesEachElementByItsOwnMoments) {
  LargeModel model;
  ParameterBlock block(model);
  std::vector<double> theta = block.values().to_vector<double>(), m(theta.size()), v(theta.size());
  AdamW optimizer(block, {0.9, 0.99, 1e-8, 0.1});
  for (uint64_t t = 1; t <= 2; ++t) {
    std::vector<double> g = model.set_gradients(t);
    optimizer.step(0.01, 0.5);
    for (size_t i = 0; i < theta.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * 0.5 * g[i];
      v[i] = 0.99 * v[i] + 0.01 * 0.25 * g[i] * g[i];
      double power = static_cast<double>(t);
      if (i < 300 * 301) theta[i] *= 1 - 0.01 * 0.1;
      theta[i] -=
          0.01 * (m[i] / (1 - std::pow(0.9, power))) / (std::sqrt(v[i] / (1 - std::pow(0.99, power))) + 1e-8);
      ASSERT_NEAR(block.values().data<double>()[i], theta[i], 1e-12) << "step " << t << ", element " << i;
    }
  }
}

TEST(Optimizer, SgdUpdatesEachElementByItsOwnVelocity) {
  LargeModel model;
  ParameterBlock block(model);
  std::vector<double> theta = block.values().to_vector<double>(), v(theta.size());
  SGD optimizer(block, 0.5);
  for (uint64_t t = 1; t <= 2; ++t) {
    std::vector<double> g = model.set_gradients(t);
    optimizer.step(0.1, 0.25);
    for (size_t i = 0; i < theta.size(); ++i) {
      v[i] = 0.5 * v[i] + 0.25 * g[i];
      theta[i] -= 0.1 * v[i];
      ASSERT_NEAR(block.values().data<double>()[i], theta[i], 1e-13) << "step " << t << ", element " << i;
    }
  }
}

// Over several chunks, the last of them not whole.
TEST(ParameterBlock, TheNormIsThatOfAllElements) {
  LargeModel model;
  ParameterBlock block(model);
  std::vector<double> g = model.set_gradients(1);
  double squares = 0;
  for (double x : g) squares += x * x;
  EXPECT_NEAR(block.gradient_norm(), std::sqrt(squares), 1e-11 * std::sqrt(squares));
  EXPECT_DOUBLE_EQ(clip_factor(4, 1), 1 / (4 + 1e-6));
  EXPECT_EQ(clip_factor(0.5, 1), 1);
}

}  // namespace
}  // namespace bertie
