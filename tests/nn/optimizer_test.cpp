#include <gtest/gtest.h>

#include <cmath>

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

}  // namespace
}  // namespace bertie
