// Training in bf16: the same bits on any number of threads, and as good a loss as that of f32.
#include <gtest/gtest.h>

#include <cstring>

#include "bertie/autograd/threads.h"
#include "bertie/models/bert_heads.h"
#include "bertie/nn/training.h"
#include "tests/models/ragged_batch.h"
#include "tests/models/small_config.h"

namespace bertie {
namespace {

// Every step's batch is cut into so many parts of whole sequences.
class RaggedSteps : public Objective {
 public:
  RaggedSteps(const BertForPreTraining& model, std::vector<int64_t> lengths, int64_t parts)
      : model_(model), lengths_(std::move(lengths)), parts_(parts) {}

  int64_t begin_step(int64_t step) override {
    batches_.clear();
    predicted_ = 0;
    for (int64_t part = 0; part < parts_; ++part) {
      int64_t begin = std::ssize(lengths_) * part / parts_, end = std::ssize(lengths_) * (part + 1) / parts_;
      std::vector<int64_t> own(lengths_.begin() + begin, lengths_.begin() + end);
      batches_.emplace_back(own, model_.config().vocab_size, seed_of(step), begin);
      batches_.back().input.pass.seed = 9;
      batches_.back().input.pass.step = static_cast<uint64_t>(step);
      predicted_ += static_cast<double>(batches_.back().rows.size());
    }
    return parts_;
  }
  Tensor loss(int64_t part) override {
    const RaggedBatch& batch = batches_[part];
    return model_.loss(model_.logits(batch.input, batch.rows), batch.true_words, batch.labels, predicted_,
                       static_cast<double>(lengths_.size()));
  }

  bool repeats = false;  // the first step's batch, again and again

 private:
  uint64_t seed_of(int64_t step) const { return repeats ? 5 : 5 + static_cast<uint64_t>(step); }

  const BertForPreTraining& model_;
  std::vector<int64_t> lengths_;
  int64_t parts_;
  std::vector<RaggedBatch> batches_;
  double predicted_ = 0;
};

std::vector<float> weights_after_three_steps(int threads, int64_t parts, Precision precision) {
  BertConfig config = small_config(600);  // large enough that products are cut into tiles
  config.hidden_size = config.intermediate_size = 384;
  config.num_attention_heads = 6;
  config.num_hidden_layers = 1;
  config.max_position_embeddings = 128;
  int before = thread_count();
  set_thread_count(threads);
  BertForPreTraining model(config, Initializer::normal(0.05, 3));
  model.set_precision(precision);
  ParameterBlock parameters(model);
  AdamW optimizer(parameters, {.weight_decay = 0.01});
  RaggedSteps objective(model, {100, 31, 77, 5, 128, 64, 90, 2}, parts);
  TrainingOptions options;
  options.steps = 3;
  options.schedule = {1e-3};
  train(parameters, optimizer, options, objective, [](const StepReport&) { return true; });
  set_thread_count(before);
  return parameters.values().to_vector<float>();
}

bool are_the_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Dropout, ragged batches, clipping.
TEST(TrainingInBf16, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (int64_t parts : {1, 4}) {
    std::vector<float> expected = weights_after_three_steps(1, parts, Precision::bf16);
    for (int threads : {2, 3})
      EXPECT_TRUE(are_the_same_bits(weights_after_three_steps(threads, parts, Precision::bf16), expected))
          << threads << " threads, " << parts << " parts";
  }
}

// So that the test above isn't one of f32.
TEST(TrainingInBf16, IsntTrainingInF32) {
  EXPECT_FALSE(are_the_same_bits(weights_after_three_steps(1, 1, Precision::bf16),
                                 weights_after_three_steps(1, 1, Precision::of_parameters)));
}

// A small batch is learned by heart.
std::vector<double> losses_of_learning(Precision precision) {
  BertConfig config = small_config(120);
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.max_position_embeddings = 32;
  BertForPreTraining model(config, Initializer::normal(0.07, 3));
  model.set_precision(precision);
  ParameterBlock parameters(model);
  AdamW optimizer(parameters, {.weight_decay = 0.01});
  RaggedSteps objective(model, {20, 31, 7, 5, 28, 14}, 1);
  objective.repeats = true;
  TrainingOptions options;
  options.steps = 20;
  options.schedule = {3e-3};
  std::vector<double> losses;
  train(parameters, optimizer, options, objective, [&](const StepReport& report) {
    losses.push_back(report.loss);
    return true;
  });
  return losses;
}

TEST(TrainingInBf16, LearnsWhatF32Learns) {
  std::vector<double> f32 = losses_of_learning(Precision::of_parameters),
                      bf16 = losses_of_learning(Precision::bf16);
  ASSERT_EQ(bf16.size(), 20u);
  for (size_t step = 0; step < 20; ++step) EXPECT_NEAR(bf16[step], f32[step], 0.01 * f32.front()) << step;
  EXPECT_LT(f32.back(), 0.6 * f32.front());
  EXPECT_LT(bf16.back(), 0.6 * bf16.front());
}

}  // namespace
}  // namespace bertie
