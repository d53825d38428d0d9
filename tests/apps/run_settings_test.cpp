// What a resumed run must have in common with the one that it continues.
#include "apps/run/run_settings.h"

#include <gtest/gtest.h>

#include "bertie/nn/checkpoint.h"

namespace bertie {
namespace {

struct SomeRun {
  RunOptions options;
  TrainingOptions training = {.steps = 10, .schedule = {1e-3, 0.1, Schedule::Decay::linear}};
  BertConfig config = bert_preset("tiny");
  std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat"};
  std::string weights = "a";

  std::string settings() const {
    return common_settings(options, training, config, Tokenizer(Vocabulary(tokens)), weights).dump();
  }
};

std::string difference(const SomeRun& other) {
  return configuration_differences(SomeRun().settings(), other.settings()).str();
}

TEST(RunSettings, SayWhatDiffers) {
  EXPECT_EQ(difference({}), "");
  SomeRun run;
  run.weights = "b";
  EXPECT_EQ(difference(run), "\n  starting_weights: \"a\" there, \"b\" here");
  run = {};
  run.tokens[6] = "dog";
  EXPECT_TRUE(difference(run).starts_with("\n  vocabulary: \"")) << difference(run);
  run = {};
  run.training.steps = 11;
  EXPECT_EQ(difference(run), "\n  steps: 10 there, 11 here");
  run = {};
  run.training.schedule.peak = 0.5;
  run.options.seed = 2;
  EXPECT_EQ(difference(run), "\n  learning_rate: 0.001 there, 0.5 here\n  seed: 1 there, 2 here");
  run = {};
  run.options.muon = true;
  EXPECT_EQ(difference(run), "\n  optimizer: not set there, \"muon\" here");
}

// Also what no weight's shape tells.
TEST(RunSettings, HaveAllOfTheModelsConfiguration) {
  SomeRun run;
  run.config.layer_norm_eps = 0.5;
  EXPECT_EQ(difference(run), "\n  layer_norm_eps: 1e-12 there, 0.5 here");
  run = {};
  run.config.classifier_dropout = 0.5;
  EXPECT_EQ(difference(run), "\n  classifier_dropout: null there, 0.5 here");
  run = {};
  run.config.pad_token_id = 3;
  EXPECT_EQ(difference(run), "\n  pad_token_id: 0 there, 3 here");
  run = {};
  run.config.labels = {"no", "yes"};
  EXPECT_NE(difference(run).find("id2label"), std::string::npos);
}

// What may change from one part of a run to the next.
TEST(RunSettings, LeaveOutWhatTheModelDoesNotDependOn) {
  SomeRun run;
  run.options.output = "elsewhere";
  run.options.tensorboard = true;
  run.options.checkpoint_steps = 7;
  EXPECT_EQ(difference(run), "");
}

}  // namespace
}  // namespace bertie
