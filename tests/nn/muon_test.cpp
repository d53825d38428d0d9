#include "bertie/nn/muon.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/nn/training.h"
#include "bertie/ops/cast.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/nn/classifier.h"
#include "tests/numbers.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

// The parameters of tests/nn/reference/make_muon_reference.py.
struct Mixed : Module {
  struct Hidden : Module {
    Hidden() {
      for (auto [name, rows, columns] :
           {std::tuple("wide", 5, 12), std::tuple("tall", 12, 5), std::tuple("square", 8, 8)})
        add_parameter(name, Array::zeros({rows, columns}, DType::f64));
      add_parameter("vector", Array::zeros({7}, DType::f64));
      add_parameter({"q", "k", "v"}, Array::zeros({18, 6}, DType::f64));
      add_parameter("row", Array::zeros({1, 9}, DType::f64));
    }
  };
  Mixed() {
    add_module("hidden", hidden);
    add_parameter("embedding", Array::zeros({4, 3}, DType::f64));
  }
  Hidden hidden;
};

// Without the module's.
std::string last_of(const std::string& name) { return name.substr(name.find('.') + 1); }

TEST(Muon, StepsAsPyTorchDoes) {
  Safetensors file =
      read_safetensors(std::string(BERTIE_SOURCE_DIR) + "/tests/nn/reference/muon.safetensors");
  Mixed model;
  ParameterBlock block(model);
  Muon optimizer(block, model.hidden,
                 {.momentum = 0.95,
                  .orthogonalization = five_iterations,
                  .step_size = 0.2,
                  .rest = {.weight_decay = 0.1}});
  auto part_of = [&](const std::string& what, const std::string& name) {
    const Array* found = file.find(what + "." + last_of(name));
    if (!found) throw Error("the reference has no " + what + "." + last_of(name));
    return *found;
  };
  for (const ParameterBlock::Segment& segment : block.segments())
    for (size_t i = 0; i < segment.parameter.names.size(); ++i) {
      Array part = segment.parameter.part(i);
      part.copy_from(part_of("start", segment.parameter.names[i]));
    }
  double rates[] = {0.02, 0.05, 0.0, 0.01}, scales[] = {0.5, 0.1, 1, 0.25};
  for (int step = 0; step < 4; ++step) {
    block.zero_grad();
    for (const ParameterBlock::Segment& segment : block.segments()) {
      Array gradient = Array::empty(segment.parameter.tensor.shape(), DType::f64);
      int64_t parts = std::ssize(segment.parameter.names), rows = gradient.shape()[0] / parts;
      for (int64_t i = 0; i < parts; ++i) {
        Array rows_of_part = gradient.rows(i * rows, (i + 1) * rows);
        rows_of_part.copy_from(part_of(fmt::format("gradient.{}", step), segment.parameter.names[i]));
      }
      backward(sum(segment.parameter.tensor * Tensor(gradient)));
    }
    optimizer.step(rates[step], scales[step]);
    for (const ParameterBlock::Segment& segment : block.segments())
      for (size_t i = 0; i < segment.parameter.names.size(); ++i) {
        const std::string& name = segment.parameter.names[i];
        EXPECT_LE(largest_difference(numbers(segment.parameter.part(i)),
                                     numbers(part_of(fmt::format("value.{}", step), name))),
                  1e-12)
            << name << " after step " << step;
      }
  }
  EXPECT_EQ(optimizer.str(),
            "Muon for hidden's matrices (7, of 301 parameters; products in f64), AdamW for the other 19 "
            "parameters");
  // A matrix has one moment, all else two.
  ASSERT_EQ(optimizer.state().size(), 2u);
  EXPECT_EQ(optimizer.state()[0].array.shape(), Shape{320});
  EXPECT_EQ(optimizer.state()[1].array.shape(), Shape{19});
}

// More of one shape than are orthogonalized at a time, each larger than a task.
struct Large : Module {
  Large() {
    for (int i = 0; i < 3; ++i)
      add_parameter("matrix" + std::to_string(i),
                    normal({600, 700}, 0, 1, 3, static_cast<uint64_t>(i), DType::f32));
  }
};

TEST(Muon, StepsEachMatrixAlongItsOwnDirection) {
  EXPECT_EQ(orthogonalized_together(600, 700, 3), 2);
  EXPECT_EQ(orthogonalized_together(6000, 7000, 3), 1);
  EXPECT_EQ(orthogonalized_together(6, 7, 3), 3);
  EXPECT_EQ(orthogonalized_together(6000, 7000, 3, 2), 2);  // one for each process
  EXPECT_EQ(orthogonalized_together(6000, 7000, 3, 8), 3);
  Large model;
  ParameterBlock block(model);
  Muon optimizer(block, model, {.products = DType::f32, .rest = {.weight_decay = 0.1}});
  for (ParameterBlock::Segment segment : block.segments())
    backward(sum(segment.parameter.tensor * segment.parameter.tensor));  // gradient: 2 θ
  std::vector<std::vector<double>> expected;
  for (const ParameterBlock::Segment& segment : block.segments()) {
    Array theta = segment.parameter.tensor.array().clone();
    std::vector<double> along = numbers(orthogonalized(theta.reshape({1, 600, 700}), DType::f32)),
                        values = numbers(theta);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = values[i] * (1 - 0.01 * 0.1) - 0.01 * 0.4 * std::sqrt(700.0) * along[i];
    expected.push_back(values);
  }
  optimizer.step(0.01);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_LE(largest_difference(numbers(block.segments()[i].parameter.tensor.array()), expected[i]), 2e-6);
}

// What is AdamW's is updated as by AdamW alone, bit for bit.
TEST(Muon, LeavesTheRestToAdamW) {
  std::vector<double> of_adam, of_muon;
  for (bool muon : {false, true}) {
    Classifier model;
    ParameterBlock block(model);
    AdamOptions adam{.weight_decay = 0.1};
    std::unique_ptr<Optimizer> optimizer;
    if (muon)
      optimizer =
          std::make_unique<Muon>(block, model.first, MuonOptions{.products = DType::f32, .rest = adam});
    else
      optimizer = std::make_unique<AdamW>(block, adam);
    for (int step = 0; step < 3; ++step) {
      for (ParameterBlock::Segment segment : block.segments()) {
        segment.parameter.tensor.zero_grad();
        backward(sum(scale(segment.parameter.tensor, 0.3 * (step + 1))));
      }
      optimizer->step(0.01, 0.5);
    }
    std::vector<double>& values = muon ? of_muon : of_adam;
    for (const Tensor& tensor : {model.first.bias(), model.second.weight(), model.second.bias()})
      for (double value : numbers(tensor.array())) values.push_back(value);
    if (muon) {
      EXPECT_EQ(optimizer->str(),
                "Muon for first's matrices (1, of 48 parameters; products in f32), AdamW for the other 99 "
                "parameters");
    }
  }
  EXPECT_EQ(of_muon, of_adam);
}

TEST(Muon, RefusesWhatItCantDo) {
  Classifier model;
  model.first.freeze();
  ParameterBlock block(model);
  EXPECT_EQ(message_of([&] { Muon(block, model.first); }),
            "[muon] there are no matrices to train within first");
  EXPECT_EQ(message_of([&] { Muon(block, model, {.momentum = 1}); }),
            "[muon] the momentum must be in 0 … 1 (1 excluded), got 1");
  EXPECT_EQ(message_of([&] { Muon(block, model, {.rest = {.beta1 = 1}}); }),
            "[adam] the betas must be in 0 … 1 (1 excluded), got 1 and 0.999");
}

struct RunOfMuon {
  std::vector<float> weights;
  std::vector<double> losses;
};

// Until so many steps are done, from the folder's checkpoint on where there is one. In bf16, what products
// take must be what the weights are rounded to, after each step.
RunOfMuon train_classifier(const std::string& folder, int64_t until, bool rounds) {
  struct InPrecision : Classifier {
    Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
      return unrounded(Classifier::forward(precision() == Precision::bf16 ? cast(x, DType::bf16) : x, pass));
    }
  } model;
  if (rounds) model.set_precision(Precision::bf16);
  ParameterBlock block(model);
  Muon optimizer(block, model.second, {.rest = {.weight_decay = 0.01}});
  Spirals objective(model, {{1, 30, 6}, {20}, {2, 1, 1, 25}});
  Checkpoints checkpoints({.folder = folder});
  TrainingOptions options{.steps = 12, .schedule = {0.03, 0.25, Schedule::Decay::linear}};
  options.checkpoints = &checkpoints;
  if (std::optional<Checkpoint> checkpoint = checkpoints.latest())
    options.start = checkpoints.restore(*checkpoint, block, optimizer, objective);
  RunOfMuon run;
  train(block, optimizer, options, objective, [&](const StepReport& report) {
    if (rounds) {
      uint64_t version = block.rounded().storage()->version;
      Tensor weight = model.second.weight();
      EXPECT_EQ(numbers(weight.rounded()), numbers(weight.array().cast(DType::bf16)));
      EXPECT_EQ(block.rounded().storage()->version, version);  // the step has written them
    }
    run.losses.push_back(report.loss);
    return report.step + 1 < until;
  });
  run.weights = block.values().to_vector<float>();
  return run;
}

// Interrupted after every single step, on one and on two threads in turn.
TEST(Muon, AResumedRunGivesTheSameBits) {
  int threads = thread_count();
  for (bool rounds : {false, true}) {
    TemporaryFolder folder;
    RunOfMuon whole = train_classifier(folder / "whole", 12, rounds);
    EXPECT_LT(whole.losses.back(), whole.losses.front());
    std::vector<double> losses;
    for (int64_t steps = 1; steps <= 12; ++steps) {
      set_thread_count(static_cast<int>(1 + steps % 2));
      RunOfMuon piece = train_classifier(folder / "pieces", steps, rounds);
      ASSERT_EQ(piece.losses.size(), 1u);
      losses.push_back(piece.losses[0]);
      if (steps == 12) {
        EXPECT_EQ(piece.weights, whole.weights);
      }
    }
    EXPECT_EQ(losses, whole.losses);
  }
  set_thread_count(threads);
}

// AdamW's checkpoint has two moments of everything.
TEST(Muon, ACheckpointOfAnotherOptimizerIsRefused) {
  TemporaryFolder folder;
  Classifier model;
  ParameterBlock block(model);
  Spirals objective(model, {{20}});
  Checkpoints checkpoints({.folder = folder.path()});
  AdamW adam(block, {});
  checkpoints.save(block, adam, objective, {.steps = 1});
  Muon muon(block, model.second);
  std::string message =
      message_of([&] { checkpoints.restore(*checkpoints.latest(), block, muon, objective); });
  EXPECT_NE(message.find("'second_moment' must be f32 [75], but is f32 [147]"), std::string::npos) << message;
}

}  // namespace
}  // namespace bertie
