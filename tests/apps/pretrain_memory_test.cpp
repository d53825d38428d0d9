#include "apps/pretrain_memory.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/random.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

// P(more than `most` of n tokens are scored), exactly.
double tail(int64_t n, double p, int64_t most) {
  double sum = 0;
  for (int64_t k = most + 1; k <= n; ++k)
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) +
                    static_cast<double>(k) * std::log(p) + static_cast<double>(n - k) * std::log(1 - p));
  return sum;
}

// One in a hundred runs, with what a correction of the normal approximation leaves: a factor of two, or one
// token.
TEST(PretrainMemory, MostScoredIsTheTailOfTheBinomialDistribution) {
  for (int64_t tokens : {128, 1024, 8192})
    for (double share : {0.15, 0.4})
      for (double batches : {1.0, 100.0, 1e5}) {
        SCOPED_TRACE(fmt::format("{} tokens, {}, {} batches", tokens, share, batches));
        int64_t most = most_scored(tokens, share, false, batches);
        EXPECT_LE(tail(tokens, share, most + 1) * batches, 0.02);
        EXPECT_GE(tail(tokens, share, most - 2) * batches, 0.005);
      }
  EXPECT_EQ(most_scored(5, 0.9, false, 1e6), 5);
  EXPECT_GT(most_scored(1024, 0.15, true, 10), most_scored(1024, 0.15, false, 10));
}

BertConfig config() {
  BertConfig config = bert_preset("mini");
  config.vocab_size = 8000;
  return config;
}

RunBatches run() {
  return {.step_tokens = 8192,
          .evaluation_tokens = 4096,
          .longest = 128,
          .mean_length = 100,
          .scored_share = 0.15,
          .steps = 1000};
}

constexpr int64_t besides = 50'000'000;

TEST(PretrainMemory, PartsAreAsLargeAsTheLimitAllows) {
  PretrainMemory whole = pretrain_memory(config(), false, run(), 0, besides);
  EXPECT_EQ(whole.weights, 4 * pretraining_parameters(config(), false));
  EXPECT_EQ(whole.gradients + whole.moments, 3 * whole.weights);
  EXPECT_EQ(whole.resident(), whole.live() + besides);
  EXPECT_EQ(pretrain_memory_within(whole.resident(), config(), false, run(), besides).part_tokens, 0);

  int64_t limit = whole.resident() * 6 / 10;
  PretrainMemory parts = pretrain_memory_within(limit, config(), false, run(), besides);
  EXPECT_LE(parts.resident(), limit);
  EXPECT_GT(parts.part_tokens, run().longest);
  EXPECT_LT(parts.part_tokens, run().step_tokens);
  EXPECT_GT(pretrain_memory(config(), false, run(), parts.part_tokens + 1, besides).resident(), limit);
  EXPECT_LT(pretrain_memory_within(limit, config(), true, run(), besides).part_tokens, parts.part_tokens);

  std::string error =
      message_of([&] { pretrain_memory_within(whole.weights * 4, config(), false, run(), besides); });
  std::string least =
      "takes " + std::to_string(pretrain_memory(config(), false, run(), 1, besides).resident() / 1'000'000);
  EXPECT_NE(error.find("[memory-limit]"), std::string::npos) << error;
  EXPECT_NE(error.find(least.substr(0, least.size() - 1)), std::string::npos) << error << least;
  EXPECT_NE(error.find("one sequence, of up to 128 tokens"), std::string::npos) << error;
}

// Where training's part is small, evaluation's is, too, so that it never has the larger peak.
TEST(PretrainMemory, AnEvaluationTakesNoMoreThanAStep) {
  EXPECT_EQ(pretrain_memory(config(), false, run(), 0, besides).evaluation_tokens, 4096);
  PretrainMemory small = pretrain_memory(config(), false, run(), 256, besides);
  EXPECT_LT(small.evaluation_tokens, 4096);
  EXPECT_GE(small.evaluation_tokens, 128);
  EXPECT_EQ(small.moment.find("evaluation"), std::string::npos);
  int64_t tokens = small.evaluation_tokens + 1;
  BatchSize more = run().largest(tokens), part = run().largest(256);
  EXPECT_GT(peak_of(evaluation_moments(config(), more, 1)).bytes * 1.1,
            peak_of(training_moments(config(), part, {.in_parts = true})).bytes);
}

TEST(PretrainMemory, ASequenceLongerThanTheBatchIsOneOfItsOwn) {
  RunBatches batches = run();
  batches.step_tokens = 64;
  EXPECT_EQ(batches.largest(64).tokens, 128);
  EXPECT_EQ(pretrain_memory(config(), false, batches, 0, besides).live(),
            pretrain_memory(config(), false, batches, 16, besides).live());
}

}  // namespace
}  // namespace bertie
