// Which weights a run saves, and when it ends, where its evaluations decide.
#include "apps/run/training_run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "bertie/ops/elementwise.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

// One number that each step makes smaller: the loss is x itself.
struct OneNumber : Module {
  OneNumber() { x = add_parameter("x", Array::full({1}, 0, DType::f64)); }
  Tensor x;
};

// A run of 10 steps whose evaluations have these scores, after every second step.
class ScoredRun {
 public:
  ScoredRun(std::map<int64_t, double> scores, int64_t patience)
      : scores_(std::move(scores)), patience_(patience) {
    options_.output = folder_ / "model";
    options_.evaluate_steps = 2;
  }
  bool fails_to_save = false;
  std::string settings = "{\"rate\": 1}";

  // Returns what run_training() does. What came of it is in the members below.
  bool run(bool resume = false) {
    options_.resume = resume;
    evaluated.clear();
    last_evaluated = -1;
    OneNumber model;
    ParameterBlock parameters(model);
    SGD optimizer(parameters);
    LossOfStep objective([&](int64_t) { return sum(model.x); });
    ModelFolder folder(options_.output, false, resumes(options_));
    TrainingOptions training;
    training.steps = 10;
    training.max_gradient_norm = 0;
    training.schedule = {1, 0, Schedule::Decay::constant};
    auto record = [](int64_t step) { return Record{{"kind", "evaluation"}, {"step", step}}; };
    return run_training({
        .options = options_,
        .folder = &folder,
        .parameters = parameters,
        .optimizer = optimizer,
        .objective = objective,
        .training = training,
        .sgemm_gflops = 1,
        .settings = settings,
        .facts = {},
        .metered = [](const StepReport& step) -> MeteredStep {
          return {step.step + 1, 1, 1, 1, 1, {{"loss", step.loss, 1}}};
        },
        .evaluate = [&](int64_t steps) -> Evaluation {
          evaluated.push_back(steps);
          return {record(steps), steps == 0 ? 0 : scores_.at(steps)};
        },
        .evaluate_last = [&](int64_t steps) -> Record {
          last_evaluated = steps;
          return record(steps);
        },
        .save = [&](const ModelFolder::Run& run) -> std::string {
          if (fails_to_save) throw Error("the disk is full");
          saved = model.x.array().item();
          ended_after = run.steps;
          finished = run.steps == run.planned_steps;
          std::ofstream(options_.output + "/bertie_training.json")
              << "{\"finished\": " << (finished ? "true" : "false") << ", \"settings\": " << settings << "}";
          ++saves;
          return options_.output;
        },
        .keep_best = true,
        .patience = patience_,
    });
  }
  bool has_checkpoints() const { return Checkpoints::any_in(checkpoints_of(options_)); }

  std::vector<int64_t> evaluated;
  int64_t last_evaluated = -1, ended_after = -1, saves = 0;
  double saved = 0;
  bool finished = false;

 private:
  TemporaryFolder folder_;
  RunOptions options_;
  std::map<int64_t, double> scores_;
  int64_t patience_;
};

using Steps = std::vector<int64_t>;

TEST(TrainingRun, SavesTheWeightsWithTheBestScore) {
  ScoredRun run({{2, 5}, {4, 3}, {6, 3}, {8, 4}, {10, 3.5}}, 0);  // of equal ones the first
  EXPECT_TRUE(run.run());
  EXPECT_EQ(run.evaluated, (Steps{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(run.saved, -4);  // each step takes 1
  EXPECT_EQ(run.last_evaluated, 4);
  EXPECT_EQ(run.ended_after, 10);
  EXPECT_TRUE(run.finished);
  EXPECT_FALSE(run.has_checkpoints());
}

TEST(TrainingRun, TheLastWeightsMayBeTheBest) {
  ScoredRun run({{2, 5}, {4, 3}, {6, 3}, {8, 4}, {10, 2.5}}, 0);
  EXPECT_TRUE(run.run());
  EXPECT_EQ(run.saved, -10);
  EXPECT_EQ(run.last_evaluated, 10);
}

TEST(TrainingRun, WithoutAnyScoreTheLastOnesAreSaved) {
  ScoredRun run({{2, NAN}, {4, NAN}, {6, INFINITY}, {8, NAN}, {10, NAN}}, 0);
  EXPECT_TRUE(run.run());
  EXPECT_EQ(run.saved, -10);
  ScoredRun later({{2, NAN}, {4, NAN}, {6, 7}, {8, NAN}, {10, NAN}}, 0);
  EXPECT_TRUE(later.run());
  EXPECT_EQ(later.saved, -6);
}

TEST(TrainingRun, EndsWhereItsPatienceDoes) {
  std::map<int64_t, double> scores{{2, 5}, {4, 3}, {6, 3}, {8, 4}, {10, 1}};
  ScoredRun one(scores, 1), two(scores, 2), three(scores, 3);
  EXPECT_TRUE(one.run());
  EXPECT_EQ(one.evaluated, (Steps{0, 2, 4, 6}));
  EXPECT_EQ(one.ended_after, 6);
  EXPECT_TRUE(one.finished);
  EXPECT_EQ(one.saved, -4);
  EXPECT_FALSE(one.has_checkpoints());
  EXPECT_TRUE(two.run());
  EXPECT_EQ(two.evaluated, (Steps{0, 2, 4, 6, 8}));
  EXPECT_EQ(two.saved, -4);
  EXPECT_TRUE(three.run());  // whose last evaluation is the best
  EXPECT_EQ(three.saved, -10);
}

// All is done but the saving: a resumed run trains no more than the undisturbed one did.
TEST(TrainingRun, WhatEndedEarlyIsntTrainedOnWhenItIsResumed) {
  for (int64_t patience : {0, 1}) {
    ScoredRun run({{2, 5}, {4, 3}, {6, 3}, {8, 1}, {10, 4}}, patience);
    run.fails_to_save = true;
    EXPECT_EQ(message_of([&] { run.run(); }), "the disk is full");
    EXPECT_EQ(run.evaluated.back(), patience == 0 ? 10 : 6);
    run.fails_to_save = false;
    EXPECT_TRUE(run.run(true));
    EXPECT_EQ(run.evaluated, Steps{});
    EXPECT_EQ(run.saved, patience == 0 ? -8 : -4);
    EXPECT_EQ(run.ended_after, patience == 0 ? 10 : 6);
    EXPECT_TRUE(run.finished);
  }
}

TEST(TrainingRun, WhatIsFinishedIsOnlyTold) {
  ScoredRun run({{2, 5}, {4, 3}, {6, 3}, {8, 4}, {10, 3.5}}, 0);
  EXPECT_TRUE(run.run());
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  EXPECT_TRUE(run.run(true));
  EXPECT_NE(testing::internal::GetCapturedStderr().find(" is finished: there is nothing to resume"),
            std::string::npos);
  EXPECT_TRUE(testing::internal::GetCapturedStdout().ends_with("/model\n"));
  EXPECT_EQ(run.evaluated, Steps{});
  EXPECT_EQ(run.last_evaluated, -1);
  EXPECT_EQ(run.saves, 1);
}

// There is nothing to continue from, and a finished model isn't replaced.
TEST(TrainingRun, WhatIsFinishedWithOtherSettingsIsRefused) {
  ScoredRun run({{2, 5}, {4, 3}, {6, 3}, {8, 4}, {10, 3.5}}, 0);
  EXPECT_TRUE(run.run());
  run.settings = "{\"rate\": 2}";
  std::string message = message_of([&] { run.run(true); });
  EXPECT_NE(
      message.find("/model has the model of a finished run with other settings:\n  rate: 1 there, 2 here"),
      std::string::npos)
      << message;
  EXPECT_EQ(run.evaluated, Steps{});
  EXPECT_EQ(run.saves, 1);
}

}  // namespace
}  // namespace bertie
