#include "bertie/data/batches/batching.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "bertie/autograd/random.h"
#include "bertie/data/batches/mlm_batches.h"
#include "tests/data/batches/small_vocabulary.h"
#include "tests/message_of.h"
#include "tests/token_lines.h"

namespace bertie {
namespace {

// `count` sequences of 1 to 20 ordinary tokens.
TokenizedLines ragged_lines(int count) {
  std::vector<std::vector<int32_t>> sequences;
  for (int i = 0; i < count; i++) sequences.emplace_back(1 + i * 7 % 20, 5 + i % 4);
  return lines_of(sequences);
}

std::vector<int64_t> all_of(const TokenizedLines& lines) {
  std::vector<int64_t> order(static_cast<size_t>(lines.size()));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

TEST(Batching, MakesPackedBatches) {
  TokenizedLines lines = lines_of({{5}, {6, 7}, {}, {8, 8, 8}});
  std::vector<int64_t> chosen = {3, 0, 2};
  TokenBatch batch = make_batch(lines, chosen, small_vocabulary());
  EXPECT_EQ(batch.ids.to_vector<int32_t>(), (std::vector<int32_t>{2, 8, 8, 8, 3, 2, 5, 3, 2, 3}));
  EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 5, 8, 10}));
  EXPECT_EQ(batch.sequences, chosen);
  EXPECT_EQ(batch.tokens(), 10);
  EXPECT_FALSE(batch.token_type_ids);
  EXPECT_EQ(batch.first_sequence, 0);
}

TEST(Batching, PlansByTheBudget) {
  TokenizedLines lines = lines_of({{5}, {5, 5}, {5, 5, 5, 5, 5, 5, 5, 5}, {5}, {5}, {5, 5}});  // 3 4 10 3 3 4
  BatchPlan plan = plan_batches(lines, all_of(lines), 7);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{0, 2, 3, 5, 6}));
  EXPECT_EQ(plan.size(), 4);
  EXPECT_EQ(std::vector<int64_t>(plan[2].begin(), plan[2].end()), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(plan_batches(lines, all_of(lines), 1).size(), 6);
  EXPECT_EQ(plan_batches(lines, all_of(lines), 27).size(), 1);
  EXPECT_EQ(plan_batches(lines, {2, 0}, 9).offsets, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(plan_batches(lines, {}, 9).size(), 0);
}

// The rule itself, for every budget: a batch takes the next sequence unless that would exceed the budget.
TEST(Batching, PlansAnyLengthsByAnyBudget) {
  TokenizedLines lines = ragged_lines(60);
  std::vector<int64_t> order = shuffled(all_of(lines), 3, 0);
  for (int64_t budget = 1; budget <= 100; budget++) {
    BatchPlan plan = plan_batches(lines, order, budget);
    EXPECT_EQ(plan.order, order);
    ASSERT_EQ(plan.offsets.front(), 0);
    ASSERT_EQ(plan.offsets.back(), 60);
    auto tokens = [&](std::span<const int64_t> sequences) {
      int64_t sum = 0;
      for (int64_t sequence : sequences) sum += static_cast<int64_t>(lines[sequence].size()) + 2;
      return sum;
    };
    for (int64_t b = 0; b < plan.size(); b++) {
      ASSERT_GE(plan[b].size(), 1u);
      EXPECT_TRUE(plan[b].size() == 1 || tokens(plan[b]) <= budget) << budget;
      if (b + 1 == plan.size()) break;
      EXPECT_GT(tokens(plan[b]) + tokens(plan[b + 1].subspan(0, 1)), budget);
    }
  }
}

TEST(Batching, ShufflesAnewForEachPass) {
  TokenizedLines lines = ragged_lines(500);
  std::vector<int64_t> order = all_of(lines), first = shuffled(order, 1, 0);
  EXPECT_EQ(shuffled(order, 1, 0), first);
  EXPECT_NE(shuffled(order, 1, 1), first);
  EXPECT_NE(shuffled(order, 2, 0), first);
  EXPECT_NE(first, order);
  std::set<std::vector<int64_t>> orders;  // no seed's pass is another seed's
  for (uint64_t seed = 0; seed < 8; seed++)
    for (int64_t pass = 0; pass < 8; pass++) orders.insert(shuffled(order, seed, pass));
  EXPECT_EQ(orders.size(), 64u);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, order);
}

// As a gigabyte of text has: an order and what it takes to cut it into batches are 16 bytes a line at most.
TEST(Batching, MillionsOfLines) {
  constexpr int64_t count = 5'000'000;
  TokenVectors vectors;
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i < count; i++) vectors.offsets.push_back(vectors.offsets.back() + 1 + i % 3);
  vectors.ids.resize(static_cast<size_t>(vectors.offsets.back()));
  TokenizedLines lines(std::move(vectors));
  auto begin = std::chrono::steady_clock::now();
  BatchPlan plan = plan_batches(lines, shuffled(std::move(order), 1, 0), 2048);
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  RecordProperty("seconds", std::to_string(seconds.count()));  // --gtest_output=json: shows it
  EXPECT_LE((plan.order.capacity() + plan.offsets.capacity()) * sizeof(int64_t), 16 * count);
  EXPECT_EQ(plan.offsets.back(), count);
  std::vector<bool> seen(count);
  for (int64_t sequence : plan.order) seen[sequence] = true;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), count);
}

// All 6 permutations of 3 come equally often.
TEST(Batching, ShufflesUniformly) {
  std::map<std::vector<int64_t>, int> counts;
  for (int64_t pass = 0; pass < 6000; pass++) counts[shuffled({0, 1, 2}, 9, pass)]++;
  EXPECT_EQ(counts.size(), 6u);
  for (auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 4.5 * std::sqrt(1000 * 5.0 / 6));
}

TEST(Batching, Refusals) {
  TokenizedLines lines = ragged_lines(3);
  EXPECT_EQ(message_of([&] { plan_batches(lines, {0}, 0); }),
            "[batch] the tokens of a batch must be at least 1, got 0");
  EXPECT_EQ(message_of([&] {
              plan_batches(lines, {0, 3}, 9);
            }),
            "[batch] there are 3 sequences, asked for number 3");
  EXPECT_EQ(message_of([&] { plan_batches(lines, {-1}, 9); }),
            "[batch] there are 3 sequences, asked for number -1");
  EXPECT_EQ(message_of([&] { plan_batches(lines, {0}, 9)[1]; }),
            "[batch] there are 1 batches, asked for number 1");
  EXPECT_EQ(message_of([&] { make_batch(lines, {}, small_vocabulary()); }),
            "[batch] a batch must have at least one sequence, got none");
}

TEST(MlmBatches, EverySequenceOncePerPass) {
  TokenizedLines lines = ragged_lines(1000);
  Masking masking(ordinary_tokens(small_vocabulary()), small_vocabulary().mask_id(), 1);
  MlmBatches batches(lines, small_vocabulary(), masking, 64, 1);
  EXPECT_EQ(batches.tokens_per_pass(), static_cast<int64_t>(lines.ids.size()) + 2000);
  for (const BatchPlan& plan : {batches.shuffled_pass(0), batches.shuffled_pass(7), batches.ordered_pass()}) {
    std::multiset<int64_t> seen;
    int64_t tokens = 0;
    for (int64_t b = 0; b < plan.size(); b++) {
      MaskedBatch batch = batches.batch(plan[b], 7);
      ASSERT_LE(batch.tokens.tokens(), 64);
      ASSERT_GT(batch.labels.size(), 0);
      ASSERT_EQ(batch.labels.size(), batch.scored_rows.size());
      tokens += batch.tokens.tokens();
      seen.insert(batch.tokens.sequences.begin(), batch.tokens.sequences.end());
      for (size_t n = 0; n < batch.tokens.sequences.size(); n++) {
        ASSERT_EQ(batch.tokens.offsets[n + 1] - batch.tokens.offsets[n],
                  static_cast<int64_t>(lines[batch.tokens.sequences[n]].size()) + 2);
      }
    }
    EXPECT_EQ(tokens, batches.tokens_per_pass());
    EXPECT_EQ(seen.size(), 1000u);
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 1000u);
    EXPECT_GT(tokens, 64 * 8 / 10 * plan.size());  // batches are well filled
  }
}

// The order and the masks of a pass are its own, and the seed's.
TEST(MlmBatches, PassesAndSeedsDiffer) {
  auto make = [](uint64_t order_seed, uint64_t mask_seed) {
    return MlmBatches(ragged_lines(300), small_vocabulary(),
                      Masking(ordinary_tokens(small_vocabulary()), small_vocabulary().mask_id(), mask_seed),
                      100, order_seed);
  };
  MlmBatches batches = make(4, 4);
  BatchPlan ordered = batches.ordered_pass();
  EXPECT_EQ(ordered.order, all_of(batches.lines()));
  EXPECT_NE(batches.shuffled_pass(0).order, ordered.order);
  EXPECT_NE(batches.shuffled_pass(0).order, batches.shuffled_pass(1).order);
  EXPECT_NE(batches.shuffled_pass(0).order, make(5, 4).shuffled_pass(0).order);
  auto masked = [&](const MlmBatches& from, int64_t pass) {
    return from.batch(ordered[0], pass).tokens.ids.to_vector<int32_t>();
  };
  EXPECT_NE(masked(batches, 0), masked(batches, 1));
  EXPECT_NE(masked(batches, 0), masked(make(4, 5), 0));
}

TEST(PlanBatches, LengthsOfAnySize) {
  constexpr int64_t largest = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> lengths{1, largest, largest, 2, 3};
  EXPECT_EQ(plan_batches({0, 1, 2, 3, 4}, lengths, 5).offsets, (std::vector<int64_t>{0, 1, 2, 3, 5}));
  EXPECT_EQ(plan_batches({0, 1, 2, 3, 4}, lengths, largest).offsets, (std::vector<int64_t>{0, 1, 2, 3, 5}));
  EXPECT_EQ(message_of([] { plan_batches({7}, std::vector<int64_t>{0}, 5); }),
            "[batch] a sequence must have at least one token, number 7 has 0");
}

// One of each stretch, and not always the one in the same place.
TEST(PlanParts, AreBalancedByTokens) {
  auto offsets = [](const std::vector<int64_t>& lengths, int64_t parts) {
    return plan_parts(std::vector<int64_t>(lengths.size(), 0), lengths, parts).offsets;
  };
  using Numbers = std::vector<int64_t>;
  EXPECT_EQ(offsets({4, 4, 4, 4}, 1), (Numbers{0, 4}));
  EXPECT_EQ(offsets({4, 4, 4, 4}, 2), (Numbers{0, 2, 4}));
  EXPECT_EQ(offsets({4, 4, 4, 4}, 3), (Numbers{0, 1, 3, 4}));  // 5.3 is nearest to 4, 10.7 to 12
  EXPECT_EQ(offsets({4, 4, 4, 4}, 4), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_EQ(offsets({9, 1, 1, 1}, 2), (Numbers{0, 1, 4}));
  EXPECT_EQ(offsets({1, 1, 1, 9}, 2), (Numbers{0, 3, 4}));
  EXPECT_EQ(offsets({2, 2}, 4), (Numbers{0, 0, 1, 1, 2}));  // a place between two goes to the first
  EXPECT_EQ(offsets({100, 1, 1, 1}, 4), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_EQ(offsets({1, 1, 1, 100}, 4), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_EQ(offsets({5}, 3), (Numbers{0, 0, 1, 1}));
  EXPECT_EQ(plan_parts({7, 3, 5}, Numbers{1, 2, 3}, 2).order, (Numbers{7, 3, 5}));
  EXPECT_EQ(offsets({}, 2), (Numbers{0, 0, 0}));
  EXPECT_EQ(message_of([&] { offsets({1}, 0); }), "[batch] a batch must have at least one part, got 0");
  EXPECT_EQ(message_of([&] {
              offsets({3, 0}, 2);
            }),
            "[batch] a sequence must have at least one token, number 0 has 0");
  EXPECT_NE(message_of([&] { plan_parts({1, 2}, Numbers{1}, 2); }), "no error");
}

// What memory is planned by: no part has more than its share and the longest sequence.
TEST(PlanParts, HaveALargestSize) {
  Random random(3);
  for (int repeat = 0; repeat < 400; ++repeat) {
    std::vector<int64_t> lengths;
    for (auto count = 1 + random.below(30); lengths.size() < count;)
      lengths.push_back(1 + static_cast<int64_t>(random.below(repeat % 2 ? 10 : 200)));
    int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0}),
            longest = *std::max_element(lengths.begin(), lengths.end());
    for (int64_t parts = 1; parts <= 40; ++parts) {
      BatchPlan plan = plan_parts(lengths, lengths, parts);
      ASSERT_EQ(plan.size(), parts);
      ASSERT_EQ(plan.offsets.back(), std::ssize(lengths));
      for (int64_t part = 0; part < parts; ++part) {
        int64_t size = std::accumulate(plan[part].begin(), plan[part].end(), int64_t{0});
        ASSERT_LE(size, (tokens + parts - 1) / parts + longest);
        if (parts <= std::ssize(lengths)) {
          ASSERT_GE(size, 1);
        }
      }
    }
  }
}

TEST(MlmBatches, ASpreadPassIsDrawnEvenly) {
  MlmBatches batches(ragged_lines(300), small_vocabulary(),
                     Masking(ordinary_tokens(small_vocabulary()), small_vocabulary().mask_id(), 4), 100, 4);
  std::set<int64_t> places;
  for (int64_t count : {1, 7, 50, 100, 299, 300}) {
    BatchPlan plan = batches.spread_pass(count);
    ASSERT_EQ(static_cast<int64_t>(plan.order.size()), count);
    EXPECT_EQ(plan.offsets.back(), count);
    for (int64_t i = 0; i < count; i++) {
      EXPECT_GE(plan.order[i], 300 * i / count);
      EXPECT_LT(plan.order[i], 300 * (i + 1) / count);
      if (count == 100) places.insert(plan.order[i] % 3);
    }
    EXPECT_EQ(batches.spread_pass(count).order, plan.order);
  }
  EXPECT_EQ(places.size(), 3u);
  EXPECT_EQ(batches.sequences(), 300);
  EXPECT_EQ(batches.scorable_tokens(), batches.tokens_per_pass() - 600);
  EXPECT_EQ(message_of([&] { batches.spread_pass(301); }),
            "[batch] there are 300 sequences to draw from, asked for 301");
  EXPECT_NE(message_of([&] { batches.spread_pass(0); }), "no error");
}

// Taking up pass 3 at batch 5 gives what an unbroken run sees there.
TEST(MlmBatches, CanBeTakenUpAnywhere) {
  auto make = [] {
    return MlmBatches(ragged_lines(300), small_vocabulary(),
                      Masking(ordinary_tokens(small_vocabulary()), small_vocabulary().mask_id(), 4), 100, 4);
  };
  MlmBatches run = make(), resumed = make();
  for (int64_t pass = 0; pass < 3; pass++) {
    BatchPlan plan = run.shuffled_pass(pass);
    for (int64_t b = 0; b < plan.size(); b++) run.batch(plan[b], pass);
  }
  MaskedBatch a = run.batch(run.shuffled_pass(3)[5], 3), b = resumed.batch(resumed.shuffled_pass(3)[5], 3);
  EXPECT_EQ(a.tokens.ids.to_vector<int32_t>(), b.tokens.ids.to_vector<int32_t>());
  EXPECT_EQ(a.scored_rows.to_vector<int64_t>(), b.scored_rows.to_vector<int64_t>());
  EXPECT_EQ(a.labels.to_vector<int32_t>(), b.labels.to_vector<int32_t>());
}

TEST(MlmBatches, LeavesOutWhatCannotBeScored) {
  Masking masking(ordinary_tokens(small_vocabulary()), small_vocabulary().mask_id(), 1);
  MlmBatches batches(lines_of({{1, 1}, {5, 1}, {4}, {6}}), small_vocabulary(), masking, 4, 1);
  BatchPlan plan = batches.ordered_pass();
  EXPECT_EQ(plan.order, (std::vector<int64_t>{1, 3}));
  for (int64_t pass = 0; pass < 50; pass++) {
    EXPECT_EQ(batches.batch(plan[0], pass).scored_rows.to_vector<int64_t>(), std::vector<int64_t>{1});
  }
  EXPECT_EQ(message_of([&] {
              MlmBatches(lines_of({{1, 1}}), small_vocabulary(), masking, 4, 1);
            }),
            "[batch] the text must have tokens of the vocabulary, none of its 1 sequences has");
  EXPECT_EQ(message_of([&] { MlmBatches(lines_of({{9}}), small_vocabulary(), masking, 4, 1); }),
            "[masking] token ids must be below 9, got 9");
  EXPECT_EQ(message_of([&] { MlmBatches(lines_of({{5}}), small_vocabulary(), masking, 0, 1); }),
            "[batch] the tokens of a batch must be at least 1, got 0");
}

}  // namespace
}  // namespace bertie
