#include "apps/pretrain_memory.h"

#include <gtest/gtest.h>

#include <cmath>

#include "apps/console/memory_limits.h"
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

constexpr int64_t besides = 50'000'000;

PretrainRun run() {
  return {.config = config(),
          .batches = {.step_tokens = 8192,
                      .evaluation_tokens = 4096,
                      .longest = 128,
                      .mean_length = 100,
                      .scored_share = 0.15,
                      .steps = 1000},
          .besides = besides};
}

TEST(PretrainMemory, PartsAreTheFewestThatKeepTheLimit) {
  auto in = [](int64_t parts) { return pretrain_memory(run(), parts); };
  auto within = [](int64_t limit) { return pretrain_memory_within(run(), limit); };
  PretrainMemory whole = in(1);
  EXPECT_EQ(whole.weights, 4 * pretraining_parameters(config(), false));
  EXPECT_EQ(whole.gradients + whole.moments, 3 * whole.weights);
  EXPECT_EQ(whole.part_tokens, 8192);
  EXPECT_EQ(whole.resident(), whole.live() + besides);
  EXPECT_EQ(whole.str().find("parts"), std::string::npos) << whole.str();
  EXPECT_EQ(within(whole.resident()).parts, 1);

  int64_t limit = whole.resident() * 6 / 10;
  PretrainMemory parts = within(limit);
  EXPECT_LE(parts.resident(), limit);
  EXPECT_GT(parts.parts, 1);
  EXPECT_EQ(parts.part_tokens, (8192 + parts.parts - 1) / parts.parts + 128);
  for (int64_t fewer = 1; fewer < parts.parts; ++fewer) EXPECT_GT(in(fewer).resident(), limit);
  EXPECT_NE(parts.str().find(
                fmt::format("; each step in {} parts of up to {} tokens", parts.parts, parts.part_tokens)),
            std::string::npos)
      << parts.str();
  PretrainRun pairs = run();
  pairs.next_sentence = true;
  EXPECT_GT(pretrain_memory(pairs, parts.parts).resident(), parts.resident());

  // The tree's blocks of gradients take memory, too: ⌊log₂ P⌋ of them.
  EXPECT_EQ(in(3).gradients, whole.gradients);
  EXPECT_EQ(in(4).gradients, 2 * whole.gradients);
  EXPECT_EQ(in(9).gradients, 3 * whole.gradients);

  int64_t best = 1;
  for (int64_t more = 2; more <= 81; ++more)  // as many sequences as a batch has on average
    if (in(more).resident() < in(best).resident()) best = more;
  EXPECT_GT(best, 2);
  EXPECT_EQ(message_of([&] { within(whole.weights * 4); }),
            fmt::format("[memory-limit] {} isn't enough: it takes {} at least, with --parts {}",
                        memory_text(whole.weights * 4), memory_text(in(best).resident()), best));
}

// Its matrices have one moment.
TEST(PretrainMemory, KnowsOfMuon) {
  PretrainRun with_muon = run();
  with_muon.muon = true;
  PretrainMemory adamw = pretrain_memory(run(), 1), muon = pretrain_memory(with_muon, 1);
  EXPECT_EQ(adamw.moments - muon.moments, 4 * 4 * (4 * 256 * 256 + 2 * 256 * 1024));
  EXPECT_EQ(adamw.live() - muon.live(), adamw.moments - muon.moments);
  EXPECT_EQ(pretrain_memory_within(with_muon, adamw.resident() - 1).parts, 1);
  EXPECT_EQ(pretrain_memory_within(run(), adamw.resident() - 1).parts, 2);
}

// Where training's part is small, evaluation's is, too, so that it never has the larger peak.
TEST(PretrainMemory, AnEvaluationTakesNoMoreThanAStep) {
  EXPECT_EQ(pretrain_memory(run(), 1).evaluation_tokens, 4096);
  PretrainMemory small = pretrain_memory(run(), 64);
  EXPECT_LT(small.evaluation_tokens, 4096);
  EXPECT_GE(small.evaluation_tokens, 128);
  EXPECT_EQ(small.moment.find("evaluation"), std::string::npos);
  int64_t tokens = small.evaluation_tokens + 1;
  BatchSize more = run().batches.largest(tokens), part = run().batches.largest(256);  // 8192 / 64 + 128
  EXPECT_GT(peak_of(evaluation_moments(config(), more, 1)).bytes * 1.1,
            peak_of(training_moments(config(), part, {.in_parts = true})).bytes);
}

TEST(PretrainMemory, ASequenceLongerThanTheBatchIsOneOfItsOwn) {
  PretrainRun short_steps = run();
  short_steps.batches.step_tokens = 64;
  EXPECT_EQ(short_steps.batches.largest(64).tokens, 128);
  EXPECT_EQ(pretrain_memory(short_steps, 1).part_tokens, 128);
  EXPECT_EQ(pretrain_memory(short_steps, 3).part_tokens, 128);
}

}  // namespace
}  // namespace bertie
