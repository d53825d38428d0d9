#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/backward.h"
#include "bertie/nn/layers.h"
#include "bertie/nn/multi_head_attention.h"
#include "bertie/nn/training.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

struct TwoLayers : Layer {
  explicit TwoLayers(Initializer init = Initializer::fan_in(1, DType::f64))
      : first(3, 4, init), dropout(0.5, 0), second(4, 2, init) {
    add_module("first", first);
    add_module("dropout", dropout);
    add_module("second", second);
  }
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
    return second.forward(dropout.forward(bertie::tanh(first.forward(x)), pass));
  }
  Linear first;
  Dropout dropout;
  Linear second;
};

Pass pass_of(int64_t tokens, uint64_t step = 0) { return {{{0, tokens}}, 7, step}; }

TEST(Module, NamesItsParametersInOrder) {
  TwoLayers model;
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters()) names.push_back(parameter.names[0]);
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.bias", "second.weight", "second.bias"}));
  std::string summary = model.summary();
  EXPECT_NE(summary.find("second.weight"), std::string::npos);
  EXPECT_NE(summary.find("[2, 4]"), std::string::npos);
  EXPECT_NE(summary.find("26"), std::string::npos);  // 12 + 4 + 8 + 2
}

TEST(Module, OneParameterMayHaveSeveralNames) {
  Initializer init = Initializer::normal(0.02, 1);
  MultiHeadAttention attention({8, 2}, init);
  std::vector<Parameter> parameters = attention.parameters();
  EXPECT_EQ(parameters[0].names, (std::vector<std::string>{"query.weight", "key.weight", "value.weight"}));
  EXPECT_EQ(parameters[0].tensor.shape(), (Shape{24, 8}));
  EXPECT_EQ(parameters[0].part(1).shape(), (Shape{8, 8}));
  EXPECT_EQ(parameters[0].part(1).item(), parameters[0].tensor.array().item(64));
}

TEST(Module, DropoutActsInTrainModeOnly) {
  TwoLayers model;
  Tensor x = Array::full({5, 3}, 1, DType::f64);
  auto values = [&](uint64_t step) { return model.forward(x, pass_of(5, step)).array().to_vector<double>(); };
  EXPECT_EQ(values(0), values(0));
  EXPECT_NE(values(0), values(1));
  model.eval();
  EXPECT_FALSE(model.training());
  EXPECT_EQ(values(0), values(1));
}

TEST(Module, RefusesWrongSizes) {
  Initializer init = Initializer::unset();
  EXPECT_EQ(message_of([&] {
              MultiHeadAttention({8, 3}, init);
            }),
            "[multi_head_attention] 3 heads don't divide the hidden size 8");
  EXPECT_EQ(message_of([&] { Dropout(1.0, 0); }),
            "[dropout] the dropout rate must be in 0 … 1 (1 excluded), got 1");
  EXPECT_EQ(message_of([&] { Activation("swish"); }),
            "[activation] must be gelu, gelu_new, relu, tanh or sigmoid, got 'swish'");
  EXPECT_NE(message_of([&] { Linear(3, 4, init).forward(Array::zeros({2, 5}, DType::f32)); }), "no error");
}

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

TEST(ParameterBlock, HoldsValuesAndGradientsInModuleOrder) {
  TwoLayers model;
  double before = model.parameters()[2].tensor.array().item(3);
  ParameterBlock block(model);
  EXPECT_EQ(block.size(), 26);
  EXPECT_EQ(block.values().item(12 + 4 + 3), before);
  model.eval();
  backward(sum(model.forward(Array::full({5, 3}, 1, DType::f64))));
  EXPECT_EQ(block.gradients().item(25), 5);  // of the last bias
  double squares = 0;
  for (double g : block.gradients().to_vector<double>()) squares += g * g;
  EXPECT_DOUBLE_EQ(block.gradient_norm(), std::sqrt(squares));
  block.zero_grad();
  EXPECT_EQ(message_of([&] { block.gradient_norm(); }),
            "[gradient_norm] the loss doesn't reach these parameters: first.weight, first.bias, "
            "second.weight, second.bias");
}

TEST(ParameterBlock, OnlyOneAtATimeHoldsAParameter) {
  TwoLayers model;
  model.eval();
  {
    ParameterBlock block(model);
    EXPECT_EQ(message_of([&] { ParameterBlock second(model.first); }),
              "[bind] this parameter's place is bound already");
    backward(sum(model.forward(Array::full({5, 3}, 1, DType::f64))));
  }
  ParameterBlock later(model);
  Array before = later.values().clone();
  later.zero_grad();
  backward(sum(model.forward(Array::full({5, 3}, 1, DType::f64))));
  EXPECT_EQ(later.gradients().item(25), 5);
  SGD(later).step(0.5);
  EXPECT_EQ(model.second.parameters()[1].tensor.array().item(1), before.item(25) - 2.5);
}

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

// A model with one parameter of two axes and one of one axis, and gradients set by hand.
struct TwoParameters : Module {
  TwoParameters() {
    matrix = add_parameter("matrix", Array::full({1, 1}, 2, DType::f64));
    vector = add_parameter("vector", Array::full({1}, 2, DType::f64));
  }
  void set_gradients(double value) {
    matrix.zero_grad();
    vector.zero_grad();
    backward(sum(scale(matrix, value)));
    backward(sum(scale(vector, value)));
  }
  Tensor matrix, vector;
};

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

TEST(Schedule, RisesAndFalls) {
  Schedule linear{1, 4, 10, Schedule::Decay::linear};
  EXPECT_DOUBLE_EQ(linear.rate(0), 0.25);
  EXPECT_DOUBLE_EQ(linear.rate(3), 1);
  EXPECT_DOUBLE_EQ(linear.rate(4), 1);
  EXPECT_DOUBLE_EQ(linear.rate(9), 1.0 / 6);
  EXPECT_DOUBLE_EQ(linear.rate(10), 0);
  Schedule cosine{1, 0, 10, Schedule::Decay::cosine};
  EXPECT_DOUBLE_EQ(cosine.rate(0), 1);
  EXPECT_DOUBLE_EQ(cosine.rate(5), 0.5);
  EXPECT_NEAR(cosine.rate(9), (1 + std::cos(0.9 * M_PI)) / 2, 1e-15);
  Schedule constant{1, 2, 10, Schedule::Decay::constant};
  EXPECT_DOUBLE_EQ(constant.rate(0), 0.5);
  EXPECT_DOUBLE_EQ(constant.rate(100), 1);
}

TEST(Train, StopsWhenAskedAndRefusesNaN) {
  TwoLayers model;
  ParameterBlock block(model);
  SGD optimizer(block);
  TrainingOptions options;
  options.steps = 10;
  options.schedule = {0.1, 0, 10};
  Tensor x = Array::full({5, 3}, 1, DType::f64);
  double first = 0, last = 0;
  int64_t steps = train(
      block, optimizer, options, [&](int64_t) { return mean(model.forward(x, pass_of(5))); },
      [&](const StepReport& report) {
        (report.step == 0 ? first : last) = report.loss;
        return report.step < 4;
      });
  EXPECT_EQ(steps, 5);
  EXPECT_LT(last, first);
  EXPECT_NE(message_of([&] {
              train(
                  block, optimizer, options,
                  [&](int64_t) { return log(scale(mean(model.forward(x, pass_of(5))), 0) - 1.0); },
                  [](const StepReport&) { return true; });
            }).find("[train] the loss of step 0 is"),
            std::string::npos);
  options.steps = 11;
  EXPECT_EQ(message_of([&] {
              train(
                  block, optimizer, options, [&](int64_t) { return Tensor(); },
                  [](const StepReport&) { return true; });
            }),
            "[train] the learning rate falls to 0 at step 10 of 11");
}

}  // namespace
}  // namespace bertie
