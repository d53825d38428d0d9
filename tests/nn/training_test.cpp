#include <gtest/gtest.h>

#include <cmath>

#include "bertie/nn/training.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

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
