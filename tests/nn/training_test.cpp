#include <gtest/gtest.h>

#include <cmath>

#include "bertie/nn/training.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

// The rate of step n of N.
double rate(const Schedule& schedule, double n, double N = 10) { return schedule.rate(n, n + 1, N); }

TEST(Schedule, RisesAndFalls) {
  Schedule linear{1, 0.4, Schedule::Decay::linear};
  EXPECT_DOUBLE_EQ(rate(linear, 0), 0.25);
  EXPECT_DOUBLE_EQ(rate(linear, 3), 1);
  EXPECT_DOUBLE_EQ(rate(linear, 4), 1);
  EXPECT_DOUBLE_EQ(rate(linear, 9), 1.0 / 6);
  EXPECT_DOUBLE_EQ(rate(linear, 10), 0);
  Schedule cosine{1, 0, Schedule::Decay::cosine};
  EXPECT_DOUBLE_EQ(rate(cosine, 0), 1);
  EXPECT_DOUBLE_EQ(rate(cosine, 5), 0.5);
  EXPECT_NEAR(rate(cosine, 9), (1 + std::cos(0.9 * M_PI)) / 2, 1e-15);
  Schedule constant{1, 0.2, Schedule::Decay::constant};
  EXPECT_DOUBLE_EQ(rate(constant, 0), 0.5);
  EXPECT_DOUBLE_EQ(rate(constant, 100), 1);
}

TEST(Schedule, StaysAtZeroBehindItsEnd) {
  for (Schedule::Decay decay : {Schedule::Decay::linear, Schedule::Decay::cosine})
    for (int64_t step : {10, 11, 12, 1000}) EXPECT_EQ(rate({1, 0.4, decay}, static_cast<double>(step)), 0);
  EXPECT_DOUBLE_EQ(rate({1, 0.4, Schedule::Decay::cosine}, 7), 0.5);  // amid the fall
  EXPECT_NE(message_of([] { rate({1}, -1); }), "no error");
}

// Steps of any length: the rise ends where the warm-up does, though a step goes over it, and a warm-up that
// is longer than the run is cut off.
TEST(Schedule, MeasuresStepsInAnyUnit) {
  Schedule linear{2, 0.25, Schedule::Decay::linear};
  EXPECT_DOUBLE_EQ(linear.rate(0, 1.5, 12), 1);
  EXPECT_DOUBLE_EQ(linear.rate(2.5, 4, 12), 2);
  EXPECT_DOUBLE_EQ(linear.rate(7.5, 20, 12), 1);
  EXPECT_DOUBLE_EQ((Schedule{2, 4}).rate(11, 12, 12), 0.5);
  EXPECT_EQ(message_of([] {
              Schedule{1, -1}.rate(0, 1, 2);
            }),
            "[schedule] the warm-up must be a share ≥ 0, got -1");
  EXPECT_EQ(message_of([] { Schedule{1}.rate(2, 1, 2); }),
            "[schedule] a step must go forward within a run longer than 0, got 2 … 1 of 2");
}

bool go_on(const StepReport&) { return true; }

TEST(Train, StopsWhenAsked) {
  TwoLayers model;
  ParameterBlock block(model);
  SGD optimizer(block);
  TrainingOptions options{.steps = 10, .schedule = {0.1}};
  Tensor x = Array::full({5, 3}, 1, DType::f64);
  double first = 0, last = 0;
  LossOfStep objective([&](int64_t) { return mean(model.forward(x, pass_of(5))); });
  int64_t steps = train(block, optimizer, options, objective, [&](const StepReport& report) {
    (report.step == 0 ? first : last) = report.loss;
    return report.step < 4;
  });
  EXPECT_EQ(steps, 5);
  EXPECT_LT(last, first);
}

TEST(Train, IsOfEitherStepsOrSeconds) {
  TwoParameters model;
  ParameterBlock block(model);
  SGD optimizer(block);
  LossOfStep objective([](int64_t) { return Tensor(); });
  auto message = [&](int64_t steps, double seconds) {
    return message_of(
        [&] { train(block, optimizer, {.steps = steps, .seconds = seconds}, objective, go_on); });
  };
  EXPECT_EQ(message(0, 0), "[train] a run must be of either steps or seconds, got 0 and 0");
  EXPECT_EQ(message(3, 1), "[train] a run must be of either steps or seconds, got 3 and 1");
  EXPECT_EQ(message(-3, 1), "[train] a run must be of either steps or seconds, got -3 and 1");
}

// A step of the loop is: zero, loss, backward, clip, update at the schedule's rate.
TEST(Train, DoesWhatALoopByHandDoes) {
  for (double max_norm : {0.0, 0.3, 100.0}) {
    TwoParameters model, by_hand;
    ParameterBlock block(model), block_by_hand(by_hand);
    SGD optimizer(block, 0.5), optimizer_by_hand(block_by_hand, 0.5);
    auto loss_of = [](const TwoParameters& m) { return sum(m.matrix * m.matrix) + sum(scale(m.vector, 3)); };
    TrainingOptions options{
        .steps = 4, .schedule = {0.1, 0.5, Schedule::Decay::linear}, .max_gradient_norm = max_norm};
    std::vector<StepReport> reports;
    LossOfStep objective([&](int64_t) { return loss_of(model); });
    EXPECT_EQ(train(block, optimizer, options, objective,
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
      EXPECT_EQ(reports[step].parts, 1);
      backward(loss);
      double norm = std::hypot(by_hand.matrix.grad().item(), by_hand.vector.grad().item());
      EXPECT_DOUBLE_EQ(reports[step].gradient_norm, norm);
      double rate = std::vector{0.05, 0.1, 0.1, 0.05}[step];
      EXPECT_DOUBLE_EQ(reports[step].learning_rate, rate);
      bool clips = max_norm > 0 && norm > max_norm;
      optimizer_by_hand.step(rate, clips ? max_norm / (norm + 1e-6) : 1);
    }
    EXPECT_NEAR(block.values().item(0), block_by_hand.values().item(0), 1e-14);
    EXPECT_NEAR(block.values().item(1), block_by_hand.values().item(1), 1e-14);
  }
}

// Two parts whose losses are the model's parameters times what a test puts here.
struct TwoParts : Objective {
  explicit TwoParts(const TwoParameters& model) : model(model) {}
  int64_t begin_step(int64_t step) override {
    this->step = step;
    return 2;
  }
  Tensor loss(int64_t part) override {
    if (step == bad_step && part == bad_part) return bad_loss();
    return part == 0 ? sum(model.matrix * model.matrix) : sum(model.vector);
  }
  std::string data_of(int64_t part) const override { return part == 0 ? "line 17" : "lines 4 and 5"; }

  const TwoParameters& model;
  int64_t step = 0, bad_step = -1, bad_part = -1;
  std::function<Tensor()> bad_loss;
};

// Stops before the update, so that the weights are those of the step before.
TEST(Train, RefusesWhatIsNotFinite) {
  struct Case {
    int64_t part;
    std::function<Tensor(const TwoParameters&)> loss;
    std::string message;
  };
  auto root_of_zero = [](const TwoParameters& m) { return sum(bertie::sqrt(scale(m.vector, 0))); };
  std::vector<Case> cases{
      {0, [](const TwoParameters& m) { return sum(log(scale(m.matrix, 0))); },
       "[train] the loss of step 2, part 1 of 2, is -inf (line 17): a lower learning rate may help"},
      {1, [](const TwoParameters& m) { return sum(log(scale(m.vector, 0))); },
       "[train] the loss of step 2, part 2 of 2, is -inf (lines 4 and 5): a lower learning rate may help"},
      {1, root_of_zero,
       "[train] the gradient of step 2 is nan (line 17; lines 4 and 5): a lower learning rate may help"}};
  for (const Case& bad : cases) {
    TwoParameters model;
    ParameterBlock block(model);
    SGD optimizer(block);
    TwoParts objective(model);
    objective.bad_step = 2;
    objective.bad_part = bad.part;
    objective.bad_loss = [&] { return bad.loss(model); };
    std::vector<double> before;
    EXPECT_EQ(message_of([&] {
                train(block, optimizer, {.steps = 9, .schedule = {0.1}}, objective, [&](const StepReport&) {
                  before = block.values().to_vector<double>();
                  return true;
                });
              }),
              bad.message);
    EXPECT_EQ(block.values().to_vector<double>(), before);
  }
}

TEST(Train, AddsUpThePartsOfAStep) {
  TwoParameters model;
  ParameterBlock block(model);
  SGD optimizer(block);
  TwoParts objective(model);
  std::vector<StepReport> reports;
  train(block, optimizer,
        {.steps = 2, .schedule = {0.25, 0, Schedule::Decay::constant}, .max_gradient_norm = 0}, objective,
        [&](const StepReport& report) {
          reports.push_back(report);
          return true;
        });
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].parts, 2);
  EXPECT_EQ(reports[0].loss, 2 * 2 + 2);
  EXPECT_DOUBLE_EQ(reports[0].gradient_norm, std::hypot(4, 1));  // matrix 2 → 1, vector 2 → 1.75
  EXPECT_EQ(reports[1].loss, 1 * 1 + 1.75);
  EXPECT_DOUBLE_EQ(reports[1].gradient_norm, std::hypot(2, 1));
  EXPECT_EQ(block.values().to_vector<double>(), (std::vector{0.5, 1.5}));
}

// Losses that show in which order they are added up: 1e16 + 1 is 1e16.
TEST(Train, AddsUpLossesInTheOrderOfTheTree) {
  struct Parts : Objective {
    int64_t begin_step(int64_t) override { return 6; }
    Tensor loss(int64_t part) override {
      if (part == 4) return {};  // one without data
      Tensor reached = sum(scale(model.matrix, 0)) + sum(scale(model.vector, 0));
      double value = part == 0 ? 1e16 : part == 5 ? 0.5 : 1;
      return reached + Tensor(Array::full({}, value, DType::f64));
    }
    TwoParameters model;
  } objective;
  ParameterBlock block(objective.model);
  SGD optimizer(block);
  double loss = 0;
  train(block, optimizer, {.steps = 1}, objective, [&](const StepReport& report) {
    loss = report.loss;
    return true;
  });
  EXPECT_EQ(loss, 1e16 + 2);  // ((1e16 + 1) + (1 + 1)) + 0.5
}

struct NoParts : LossOfStep {
  using LossOfStep::LossOfStep;
  int64_t begin_step(int64_t) override { return 0; }
};

TEST(Train, RefusesAStepWithoutParts) {
  TwoParameters model;
  ParameterBlock block(model);
  SGD optimizer(block);
  NoParts objective([](int64_t) { return Tensor(); });
  EXPECT_EQ(message_of([&] { train(block, optimizer, {.steps = 1}, objective, go_on); }),
            "[train] a step must have a part, step 0 has 0");
}

// A run of some seconds, on a clock that each loss, and what comes after each step, moves on.
struct Timed {
  int64_t run() {
    LossOfStep objective([&](int64_t step) {
      now += step_seconds(step);
      return sum(model.matrix) + sum(model.vector);
    });
    ParameterBlock block(model);
    SGD optimizer(block);
    options.clock = [&] { return now; };
    return train(block, optimizer, options, objective, [&](const StepReport& report) {
      reports.push_back(report);
      now += after_seconds(report.step);
      return true;
    });
  }
  TwoParameters model;
  TrainingOptions options;
  double now = 1000;
  std::function<double(int64_t)> step_seconds = [](int64_t) { return 1; };
  std::function<double(int64_t)> after_seconds = [](int64_t) { return 0; };
  std::vector<StepReport> reports;
};

// Of steps of one length it has the rates of a run of that many steps.
TEST(Train, FollowsTheClock) {
  Timed timed;
  timed.options.seconds = 10;
  timed.options.schedule = {0.5, 0.2, Schedule::Decay::linear};
  EXPECT_EQ(timed.run(), 10);
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_DOUBLE_EQ(
        timed.reports[step].learning_rate,
        timed.options.schedule.rate(static_cast<double>(step), static_cast<double>(step + 1), 10));
    EXPECT_DOUBLE_EQ(timed.reports[step].seconds, static_cast<double>(step + 1));
  }
}

// What happens between the steps takes of the time, and the rate falls meanwhile.
TEST(Train, WhatIsBetweenTheStepsTakesOfTheTime) {
  Timed timed;
  timed.options.seconds = 10;
  timed.options.schedule = {0.5, 0, Schedule::Decay::linear};
  timed.after_seconds = [](int64_t step) { return step == 3 ? 2.5 : 0; };
  EXPECT_EQ(timed.run(), 7);  // the eighth would end at 10.5
  EXPECT_DOUBLE_EQ(timed.reports[4].learning_rate, 0.5 * 0.35);
  EXPECT_DOUBLE_EQ(timed.reports[6].seconds, 9.5);
}

TEST(Train, BeginsNoStepThatWouldEndTooLate) {
  Timed timed;
  timed.options.seconds = 20;
  timed.options.schedule = {0.5};
  timed.step_seconds = [](int64_t step) { return step == 8 ? 3.0 : 1.0; };
  // At 17 the longest of the last ten still takes 3, so one more begins; at 18 none does. Were the long one
  // longer ago, it wouldn't count.
  EXPECT_EQ(timed.run(), 16);
  Timed long_ago;
  long_ago.options = timed.options;
  long_ago.step_seconds = [](int64_t step) { return step == 0 ? 3.0 : 1.0; };
  EXPECT_EQ(long_ago.run(), 18);
  EXPECT_DOUBLE_EQ(long_ago.reports.back().seconds, 20);
}

TEST(Train, AResumedRunKeepsWhatIsLeftOfItsTime) {
  Timed timed;
  timed.options.seconds = 10;
  timed.options.schedule = {0.5, 0, Schedule::Decay::linear};
  timed.options.start = {4, 6.5};
  EXPECT_EQ(timed.run(), 7);
  ASSERT_EQ(timed.reports.size(), 3u);
  EXPECT_EQ(timed.reports[0].step, 4);
  EXPECT_DOUBLE_EQ(timed.reports[0].learning_rate, 0.5 * 0.35);
  EXPECT_DOUBLE_EQ(timed.reports[2].seconds, 9.5);
  Timed over;
  over.options = timed.options;
  over.options.start = {4, 10};
  EXPECT_EQ(over.run(), 4);
  EXPECT_TRUE(over.reports.empty());
}

}  // namespace
}  // namespace bertie
