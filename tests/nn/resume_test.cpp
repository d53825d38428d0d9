// A training in parts and in pieces gives what it gives whole.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>

#include "bertie/autograd/threads.h"
#include "bertie/nn/training.h"
#include "tests/message_of.h"
#include "tests/nn/classifier.h"
#include "tests/nn/small_models.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

const std::vector<std::vector<int64_t>> unequal_parts{{1, 30, 6}, {20}, {2, 1, 1, 25}};

// Everything that a run consists of. It resumes where there is a checkpoint.
struct Training {
  explicit Training(const std::string& folder, int64_t steps = 12)
      : block(model),
        optimizer(block, {.weight_decay = 0.01}),
        objective(model, unequal_parts),
        checkpoints({.folder = folder,
                     .configuration = R"({"learning_rate": 0.03, "width": 24})",
                     .tell = [this](const std::string& text) { told.push_back(text); }}) {
    options.steps = steps;
    options.schedule = {0.03, 0.25, Schedule::Decay::linear};
    options.checkpoints = &checkpoints;
  }
  // Until so many steps are done.
  int64_t run(int64_t until = INT64_MAX) {
    if (std::optional<Checkpoint> checkpoint = checkpoints.latest())
      options.start = checkpoints.restore(*checkpoint, block, optimizer, objective);
    return train(block, optimizer, options, objective, [&](const StepReport& report) {
      losses.push_back(report.loss);
      if (after_step) after_step(report);
      return report.step + 1 < until;
    });
  }
  std::vector<float> weights() const { return block.values().to_vector<float>(); }

  Classifier model;
  ParameterBlock block;
  AdamW optimizer;
  Spirals objective;
  std::vector<std::string> told;
  Checkpoints checkpoints;
  TrainingOptions options;
  std::vector<double> losses;
  std::function<void(const StepReport&)> after_step;
};

class ThreadCount {
 public:
  ~ThreadCount() { set_thread_count(before_); }

 private:
  int before_ = thread_count();
};

// Interrupted after every single step, on one and on two threads in turn.
TEST(Resume, GivesTheSameBits) {
  ThreadCount restores_it;
  TemporaryFolder folder;
  Training whole(folder / "whole");
  EXPECT_EQ(whole.run(), 12);
  std::vector<double> losses;
  for (int64_t steps = 1; steps <= 12; ++steps) {
    set_thread_count(static_cast<int>(1 + steps % 2));
    Training piece(folder / "pieces");
    EXPECT_EQ(piece.run(steps), steps);
    ASSERT_EQ(piece.losses.size(), 1u);
    losses.push_back(piece.losses[0]);
    EXPECT_EQ(piece.told, std::vector<std::string>());
    if (steps == 12) {
      EXPECT_EQ(piece.weights(), whole.weights());
    }
  }
  EXPECT_EQ(losses, whole.losses);
  EXPECT_LT(losses.back(), losses.front());
  Training finished(folder / "pieces");  // there is nothing left to do
  EXPECT_EQ(finished.run(), 12);
  EXPECT_TRUE(finished.losses.empty());
  EXPECT_EQ(finished.weights(), whole.weights());
}

// Interrupted once, after each step in turn.
TEST(Resume, GivesTheSameBitsFromEachStepOn) {
  TemporaryFolder folder;
  Training whole(folder / "whole");
  whole.run();
  for (int64_t steps = 1; steps < 12; ++steps) {
    std::string place = folder / std::to_string(steps);
    EXPECT_EQ(Training(place).run(steps), steps);
    Training rest(place);
    EXPECT_EQ(rest.run(), 12);
    EXPECT_EQ(rest.weights(), whole.weights()) << steps;
  }
}

// With momentum alone, in f64, and with neither moments nor a state of the objective.
TEST(Resume, TakesUpAnyOptimizer) {
  for (double momentum : {0.0, 0.5}) {
    TemporaryFolder folder;
    Tensor x = Array::full({5, 3}, 1, DType::f64);
    auto run = [&](const std::string& place, int64_t until) {
      TwoLayers model;
      ParameterBlock block(model);
      SGD optimizer(block, momentum);
      LossOfStep objective(
          [&](int64_t step) { return mean(model.forward(x, pass_of(5, static_cast<uint64_t>(step)))); });
      Checkpoints checkpoints({.folder = folder / place});
      TrainingOptions options{.steps = 6, .schedule = {0.1}, .checkpoints = &checkpoints};
      if (auto checkpoint = checkpoints.latest()) {
        options.start = checkpoints.restore(*checkpoint, block, optimizer, objective);
        EXPECT_EQ(optimizer.steps_done(), options.start.steps);
      }
      train(block, optimizer, options, objective,
            [&](const StepReport& report) { return report.step + 1 < until; });
      return block.values().to_vector<double>();
    };
    std::vector<double> whole = run("whole", 6);
    run("pieces", 2);
    EXPECT_EQ(run("pieces", 6), whole);
  }
}

// Parts of very unequal sizes are one batch: gradients within 1e-6 of the largest, dropout on.
TEST(Accumulation, EqualsTheLargeBatch) {
  auto gradients_of = [](const std::vector<int64_t>& parts) {
    Classifier model;
    ParameterBlock block(model);
    Spirals objective(model, {parts});
    SGD optimizer(block);
    TrainingOptions options{.steps = 1, .schedule = {0}};
    double loss = 0;
    train(block, optimizer, options, objective, [&](const StepReport& report) {
      loss = report.loss;
      return true;
    });
    std::vector<float> gradients = block.gradients().to_vector<float>();
    gradients.push_back(static_cast<float>(loss));
    return gradients;
  };
  std::vector<float> whole = gradients_of({80});
  float largest = 0;
  for (float g : whole) largest = std::max(largest, std::abs(g));
  for (const std::vector<int64_t>& parts :
       std::vector<std::vector<int64_t>>{{1, 79}, {79, 1}, {1, 60, 2, 17}, std::vector<int64_t>(80, 1)}) {
    std::vector<float> summed = gradients_of(parts);
    for (size_t i = 0; i < whole.size(); ++i)
      EXPECT_NEAR(summed[i], whole[i], 1e-6 * largest) << parts.size() << " parts, element " << i;
  }
}

// Every three seconds, of a clock that stops at a resume.
TEST(Resume, SavesByTheClock) {
  TemporaryFolder folder;
  double now = 50;
  std::vector<std::optional<int64_t>> saved;
  auto run = [&](int64_t until) {
    Training training(folder.path());
    Checkpoints checkpoints({.folder = folder.path(), .every_seconds = 3});
    training.options.checkpoints = &checkpoints;
    training.options.clock = [&] { return now; };
    if (std::optional<Checkpoint> checkpoint = checkpoints.latest())
      training.options.start =
          checkpoints.restore(*checkpoint, training.block, training.optimizer, training.objective);
    train(training.block, training.optimizer, training.options, training.objective,
          [&](const StepReport& report) {
            saved.push_back(checkpoints.saved_steps());
            now += 1;
            return report.step + 1 < until;
          });
    EXPECT_EQ(checkpoints.saved_steps(), until);
  };
  run(5);
  EXPECT_EQ(saved, (std::vector<std::optional<int64_t>>{{}, {}, {}, 3, 3}));
  EXPECT_EQ(Checkpoints({.folder = folder.path()}).latest()->position.seconds, 5);
  now = 1000;
  saved.clear();
  run(10);
  EXPECT_EQ(saved, (std::vector<std::optional<int64_t>>{5, 5, 5, 8, 8}));
  EXPECT_EQ(Checkpoints({.folder = folder.path()}).latest()->position.seconds, 10);
}

// The disk is full for a while: told each time, the checkpoint before stays, and later ones are saved.
TEST(Resume, GoesOnWhereTheDiskIsFull) {
  TemporaryFolder folder;
  rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  Training run(folder.path());
  CheckpointOptions every_second{.folder = folder.path(),
                                 .every_steps = 2,
                                 .tell = [&](const std::string& text) { run.told.push_back(text); }};
  Checkpoints checkpoints(every_second);
  run.options.checkpoints = &checkpoints;
  run.after_step = [&](const StepReport& report) {  // steps 4 and 6 can't be saved
    rlimit limit = old_limit;
    if (report.step >= 3 && report.step < 7) limit.rlim_cur = 1000;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    if (report.step == 6) {
      EXPECT_EQ(folder.entries(), 1u);
      EXPECT_EQ(checkpoints.latest()->position.steps, 2);
      EXPECT_EQ(checkpoints.saved_steps(), 2);
    }
  };
  run.run();
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_EQ(run.told.size(), 2u);
  EXPECT_EQ(run.told[0], "step 4 can't be saved, that of step 2 stays the newest: [write] can't write '" +
                             folder.path() + "/step-000000004.safetensors': File too large");
  EXPECT_TRUE(run.told[1].starts_with("step 6 can't be saved, that of step 2 stays")) << run.told[1];
  EXPECT_EQ(checkpoints.latest()->position.steps, 12);
  EXPECT_EQ(folder.entries(), 2u);
}

// A save that fails after the last step is told once.
TEST(Resume, EndsWhereTheDiskIsFull) {
  TemporaryFolder folder;
  std::ofstream(folder / "file").put('x');
  Training run(folder / "file", 4);
  Checkpoints checkpoints({.folder = folder / "file", .every_steps = 2, .tell = [&](const std::string& text) {
                             run.told.push_back(text);
                           }});
  run.options.checkpoints = &checkpoints;
  EXPECT_EQ(
      train(run.block, run.optimizer, run.options, run.objective, [](const StepReport&) { return true; }), 4);
  ASSERT_EQ(run.told.size(), 2u);
  EXPECT_TRUE(run.told[0].starts_with("step 2 can't be saved: ")) << run.told[0];
  EXPECT_TRUE(run.told[1].starts_with("step 4 can't be saved: ")) << run.told[1];
}

// What is not finite is never saved.
TEST(Resume, KeepsTheLastGoodCheckpoint) {
  TemporaryFolder folder;
  auto run = [&](const std::function<void(ParameterBlock&, int64_t step)>& damage) {
    Training broken(folder.path());
    Checkpoints checkpoints({.folder = folder.path(), .every_steps = 1});
    broken.options.checkpoints = &checkpoints;
    broken.after_step = [&](const StepReport& report) { damage(broken.block, report.step); };
    return message_of([&] { broken.run(); });
  };
  std::string message = run([](ParameterBlock& block, int64_t step) {
    if (step == 2) block.values().mutable_data<float>()[5] = NAN;
  });
  EXPECT_EQ(message, "[train] the weights aren't finite after step 2: a lower learning rate may help");
  EXPECT_EQ(Checkpoints({.folder = folder.path()}).latest()->position.steps, 2);
}

}  // namespace
}  // namespace bertie
