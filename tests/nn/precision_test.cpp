// What a model computes with, and the rounded weights that products of bf16 take.
#include "bertie/nn/precision.h"

#include <gtest/gtest.h>

#include "bertie/autograd/isa.h"
#include "bertie/autograd/threads.h"
#include "bertie/nn/training.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/int8_instructions.h"
#include "tests/message_of.h"
#include "tests/nn/classifier.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

bool has_bf16_instructions() { return bf16_instructions() != Bf16Instructions::none; }

TEST(Precision, F32IsWhatItIs) {
  PrecisionChoice choice = choose_precision("f32");
  EXPECT_EQ(choice.precision, Precision::of_parameters);
  EXPECT_EQ(choice.reason, "");
  EXPECT_STREQ(name(Precision::of_parameters), "f32");
  EXPECT_STREQ(name(Precision::bf16), "bf16");
  EXPECT_STREQ(name(Precision::int8), "int8");
}

TEST(Precision, Bf16NeedsItsInstructions) {
  if (has_bf16_instructions()) {
    PrecisionChoice choice = choose_precision("bf16");
    EXPECT_EQ(choice.precision, Precision::bf16);
    EXPECT_EQ(choice.reason, "");
  } else {
    EXPECT_EQ(
        message_of([] { choose_precision("bf16"); }),
        "[precision] bf16 needs a CPU with the instructions AVX512_BF16 or AMX-BF16, which this one lacks "
        "(or BERTIE_ISA or ONEDNN_MAX_CPU_ISA hides); f32 works, and auto takes what is faster");
  }
}

TEST(Precision, AutoSaysWhatItChoseAndWhy) {
  PrecisionChoice choice = choose_precision("auto");
  EXPECT_EQ(choice.precision == Precision::bf16, bf16_products_gain());
  if (!has_bf16_instructions()) {
    EXPECT_EQ(choice.reason, "as this CPU has no instructions for products of bf16");
  } else {
    EXPECT_EQ(choice.reason,
              fmt::format("as this CPU's products of bf16 ({}) take {} time than those of f32",
                          name(bf16_instructions()), bf16_products_gain() ? "less" : "no less"));
  }
}

// On any CPU: without instructions it saves memory all the same.
TEST(Precision, Int8SaysWhatServes) {
  PrecisionChoice choice = choose_precision("int8");
  EXPECT_EQ(choice.precision, Precision::int8);
  if (int8_products_gain()) {
    EXPECT_EQ(choice.reason,
              fmt::format("with this CPU's instructions for it ({})", name(int8_instructions())));
  } else {
    EXPECT_EQ(choice.reason,
              "which saves memory but no time: this CPU has no instructions for it (AVX_VNNI, AVX512_VNNI, "
              "AMX)");
  }
}

TEST(Precision, OtherWordsAreRefused) {
  EXPECT_EQ(message_of([] { choose_precision("f16"); }),
            "[precision] must be f32, bf16, int8 or auto, got 'f16'");
  EXPECT_EQ(message_of([] { choose_precision(""); }), "[precision] must be f32, bf16, int8 or auto, got ''");
}

TEST(Precision, ReachesTheModulesWithin) {
  struct Outer : Module {
    Outer() { add_module("inner", inner); }
    TwoLayers inner;
  } model;
  auto all = [&] {
    return std::vector<Precision>{model.precision(), model.inner.precision(), model.inner.first.precision(),
                                  model.inner.dropout.precision(), model.inner.second.precision()};
  };
  EXPECT_EQ(all(), std::vector<Precision>(5, Precision::of_parameters));
  model.set_precision(Precision::bf16);
  EXPECT_EQ(all(), std::vector<Precision>(5, Precision::bf16));
  model.inner.set_precision(Precision::of_parameters);
  EXPECT_EQ(model.precision(), Precision::bf16);
  EXPECT_EQ(model.inner.first.precision(), Precision::of_parameters);
  model.set_precision(Precision::of_parameters);
  EXPECT_EQ(all(), std::vector<Precision>(5, Precision::of_parameters));
}

// In bf16 where its precision is that. Of several tasks of an optimizer's pass.
struct RoundedLayers : TwoLayers {
  explicit RoundedLayers(Precision precision) : TwoLayers(Initializer::fan_in(1), 301, 211, 7, 0.3) {
    set_precision(precision);
  }
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
    return unrounded(TwoLayers::forward(precision() == Precision::bf16 ? cast(x, DType::bf16) : x, pass));
  }
  void backward_of(uint64_t step) const {
    Tensor x = normal({9, 301}, 0, 1, 5, step, DType::f32);
    backward(mean(forward(x, pass_of(9, step))));
  }
};

// Bit for bit; and whether it was so without rounding again, which would write.
void expect_rounded_weights(ParameterBlock& block, bool already) {
  for (const ParameterBlock::Segment& segment : block.segments()) {
    const Tensor& weight = segment.parameter.tensor;
    uint64_t version = block.rounded().storage()->version;
    Array rounded = weight.rounded(), exact = weight.array().cast(DType::bf16);
    EXPECT_EQ(block.rounded().storage()->version == version, already) << segment.parameter.names[0];
    EXPECT_EQ(rounded.bytes_begin(), block.rounded().flat(segment.begin, weight.shape()).bytes_begin());
    ASSERT_EQ(rounded.shape(), weight.shape());
    for (int64_t i = 0; i < rounded.size(); ++i)
      ASSERT_EQ(rounded.data<bfloat16>()[i].bits, exact.data<bfloat16>()[i].bits)
          << segment.parameter.names[0] << ", element " << i;
  }
}

TEST(RoundedWeights, AreOfABlockWhoseModelIsOfBf16) {
  RoundedLayers plain(Precision::of_parameters), model(Precision::bf16);
  EXPECT_FALSE(ParameterBlock(plain).rounded());
  ParameterBlock block(model);
  ASSERT_TRUE(block.rounded());
  EXPECT_EQ(block.rounded().dtype(), DType::bf16);
  EXPECT_EQ(block.rounded().shape(), Shape{block.size()});
  expect_rounded_weights(block, false);
  expect_rounded_weights(block, true);
  block.values().mutable_data<float>()[5] = 0.3f;  // as one who takes up a checkpoint does
  expect_rounded_weights(block, false);
  block.values().mutable_data<float>()[5] = 0.5f;
  block.rounded().mutable_data<bfloat16>()[5] = 0.5f;
  block.rounded_is_current();
  expect_rounded_weights(block, true);
}

// In every instruction set, in decay groups that begin anywhere and with a change of the rate.
TEST(RoundedWeights, AdamWritesThemInItsPass) {
  Isa best = isa();
  for (Isa each : available_isas()) {
    SCOPED_TRACE(name(each));
    set_isa(each);
    for (double decay : {0.0, 0.1}) {
      RoundedLayers model(Precision::bf16);
      ParameterBlock block(model);
      AdamW optimizer(block, {.weight_decay = decay});
      for (uint64_t step = 0; step < 3; ++step) {
        block.zero_grad();
        model.backward_of(step);
        Array before = block.rounded().clone();
        optimizer.step(0.01 / static_cast<double>(step + 1), 0.7);
        expect_rounded_weights(block, true);
        EXPECT_NE(block.rounded().cast(DType::f32).to_vector<float>(),
                  before.cast(DType::f32).to_vector<float>());
      }
    }
  }
  set_isa(best);
}

TEST(RoundedWeights, OfSgdAreRoundedWhereTheyAreUsed) {
  for (double momentum : {0.0, 0.5}) {
    RoundedLayers model(Precision::bf16);
    ParameterBlock block(model);
    SGD optimizer(block, momentum);
    for (uint64_t step = 0; step < 3; ++step) {
      block.zero_grad();
      model.backward_of(step);
      optimizer.step(3);
      // All are in one storage: the first that is asked for is not current, and neither are the others.
      expect_rounded_weights(block, false);
      expect_rounded_weights(block, true);
    }
  }
}

// Also of a block that keeps none: what products take follows the weights.
TEST(RoundedWeights, WithoutABlockOfThem) {
  RoundedLayers model(Precision::of_parameters);
  ParameterBlock block(model);
  AdamW optimizer(block, {});
  const Tensor& weight = model.first.weight();
  for (uint64_t step = 0; step < 2; ++step) {
    block.zero_grad();
    model.backward_of(step);
    weight.rounded();
    optimizer.step(0.01);
    EXPECT_EQ(weight.rounded().cast(DType::f32).to_vector<float>(),
              weight.array().cast(DType::bf16).cast(DType::f32).to_vector<float>());
  }
}

TEST(RoundedWeights, AreThoseOfTheNextBlock) {
  RoundedLayers model(Precision::bf16);
  {
    ParameterBlock first(model);
    expect_rounded_weights(first, false);
  }
  ParameterBlock second(model);
  expect_rounded_weights(second, false);
}

// Points of a spiral in bf16.
struct RoundedClassifier : Classifier {
  RoundedClassifier() { set_precision(Precision::bf16); }
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
    return unrounded(Classifier::forward(precision() == Precision::bf16 ? cast(x, DType::bf16) : x, pass));
  }
};

struct RoundedRun {
  std::vector<float> weights;
  std::vector<double> losses;
};

// Until so many steps are done, from the folder's checkpoint on where there is one.
RoundedRun train_rounded(const std::string& folder, int64_t until, Precision precision = Precision::bf16) {
  RoundedClassifier model;
  model.set_precision(precision);
  ParameterBlock block(model);
  AdamW optimizer(block, {.weight_decay = 0.01});
  Spirals objective(model, {{1, 30, 6}, {20}, {2, 1, 1, 25}});
  Checkpoints checkpoints({.folder = folder});
  TrainingOptions options{.steps = 12, .schedule = {0.03, 0.25, Schedule::Decay::linear}};
  options.checkpoints = &checkpoints;
  if (std::optional<Checkpoint> checkpoint = checkpoints.latest())
    options.start = checkpoints.restore(*checkpoint, block, optimizer, objective);
  RoundedRun run;
  train(block, optimizer, options, objective, [&](const StepReport& report) {
    run.losses.push_back(report.loss);
    return report.step + 1 < until;
  });
  run.weights = block.values().to_vector<float>();
  return run;
}

TEST(RoundedWeights, AResumedRunGivesTheSameBits) {
  TemporaryFolder folder;
  RoundedRun whole = train_rounded(folder / "whole", 12);
  EXPECT_LT(whole.losses.back(), whole.losses.front());
  int threads = thread_count();
  std::vector<double> losses;
  for (int64_t steps = 1; steps <= 12; ++steps) {
    set_thread_count(static_cast<int>(1 + steps % 2));
    RoundedRun piece = train_rounded(folder / "pieces", steps);
    ASSERT_EQ(piece.losses.size(), 1u);
    losses.push_back(piece.losses[0]);
    if (steps == 12) {
      EXPECT_EQ(piece.weights, whole.weights);
    }
  }
  set_thread_count(threads);
  EXPECT_EQ(losses, whole.losses);
  EXPECT_NE(train_rounded(folder / "f32", 12, Precision::of_parameters).weights, whole.weights);
}

// A checkpoint is of f32 weights, so the other precision goes on from just these.
TEST(RoundedWeights, ARunMayGoOnInTheOtherPrecision) {
  TemporaryFolder folder;
  for (Precision first : {Precision::of_parameters, Precision::bf16}) {
    Precision second = first == Precision::bf16 ? Precision::of_parameters : Precision::bf16;
    RoundedRun alone = train_rounded(folder / name(first) + "-alone", 12, first);
    train_rounded(folder / name(first), 6, first);
    RoundedRun rest = train_rounded(folder / name(first), 12, second);
    ASSERT_EQ(rest.losses.size(), 6u);
    EXPECT_NE(rest.weights, alone.weights);
    for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(rest.losses[i], alone.losses[6 + i], 0.02) << i;
  }
}

}  // namespace
}  // namespace bertie
