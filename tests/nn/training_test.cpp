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

TEST(Schedule, StaysAtZeroBehindItsEnd) {
  for (Schedule::Decay decay : {Schedule::Decay::linear, Schedule::Decay::cosine})
    for (int64_t step : {10, 11, 12, 1000}) EXPECT_EQ((Schedule{1, 4, 10, decay}).rate(step), 0);
  EXPECT_DOUBLE_EQ((Schedule{1, 4, 10, Schedule::Decay::cosine}).rate(7), 0.5);  // amid the fall
  EXPECT_NE(message_of([] { Schedule{1, 0, 10}.rate(-1); }), "no error");
}

// A step of the loop is: zero, loss, backward, clip, update at the schedule's rate.
TEST(Train, DoesWhatALoopByHandDoes) {
  for (double max_norm : {0.0, 0.3, 100.0}) {
    TwoParameters model, by_hand;
    ParameterBlock block(model), block_by_hand(by_hand);
    SGD optimizer(block, 0.5), optimizer_by_hand(block_by_hand, 0.5);
    auto loss_of = [](const TwoParameters& m) { return sum(m.matrix * m.matrix) + sum(scale(m.vector, 3)); };
    TrainingOptions options;
    options.steps = 4;
    options.schedule = {0.1, 2, 6};
    options.max_gradient_norm = max_norm;
    std::vector<StepReport> reports;
    EXPECT_EQ(train(
                  block, optimizer, options, [&](int64_t) { return loss_of(model); },
                  [&](const StepReport& report) {
                    reports.push_back(report);
                    return true;
                  }),
              4);
    ASSERT_EQ(reports.size(), 4u);
    for (int64_t step = 0; step < 4; ++step) {
      block_by_hand.zero_grad();
      Tensor loss = loss_of(by_hand);
      EXPECT_EQ(reports[step].step, step);
      EXPECT_EQ(reports[step].loss, loss.item());
      backward(loss);
      double norm = std::hypot(by_hand.matrix.grad().item(), by_hand.vector.grad().item());
      EXPECT_DOUBLE_EQ(reports[step].gradient_norm, norm);
      double rate = std::vector{0.05, 0.1, 0.1, 0.075}[step];
      EXPECT_DOUBLE_EQ(reports[step].learning_rate, rate);
      bool clips = max_norm > 0 && norm > max_norm;
      optimizer_by_hand.step(rate, clips ? max_norm / (norm + 1e-6) : 1);
    }
    EXPECT_NEAR(block.values().item(0), block_by_hand.values().item(0), 1e-14);
    EXPECT_NEAR(block.values().item(1), block_by_hand.values().item(1), 1e-14);
  }
}

TEST(Train, RefusesAGradientThatIsNotFinite) {
  TwoParameters model;
  ParameterBlock block(model);
  SGD optimizer(block);
  TrainingOptions options;
  options.steps = 1;
  options.schedule = {0.1, 0, 1};
  std::string message = message_of([&] {
    train(
        block, optimizer, options,
        [&](int64_t) { return sum(bertie::sqrt(scale(model.matrix, 0))) + sum(model.vector); },
        [](const StepReport&) { return true; });
  });
  EXPECT_NE(message.find("[train] the gradient of step 0 is"), std::string::npos) << message;
  EXPECT_EQ(block.values().item(0), 2);
}

}  // namespace
}  // namespace bertie
