#include "bertie/data/batches/masking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/data/batches/small_vocabulary.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

constexpr int32_t vocabulary_size = 25;

std::vector<bool> ordinary() {
  std::vector<bool> result(vocabulary_size, true);
  std::fill(result.begin(), result.begin() + specials, false);
  return result;
}

// Sequences of the given ids, numbered from `first` on.
TokenBatch batch_of(const std::vector<std::vector<int32_t>>& sequences, int64_t first = 0) {
  TokenBatch batch;
  std::vector<int32_t> ids;
  batch.offsets = {0};
  for (const auto& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    batch.offsets.push_back(static_cast<int64_t>(ids.size()));
    batch.sequences.push_back(first++);
  }
  batch.ids = Array::from(ids);
  return batch;
}

// `count` sequences of 100 tokens: the specials, then every ordinary id again and again.
TokenBatch large_batch(int count, int64_t first = 0) {
  std::vector<int32_t> sequence = {2, 1, 3, 0, 4};
  for (int32_t i = 0; i < 95; i++) sequence.push_back(specials + i % (vocabulary_size - specials));
  return batch_of(std::vector(static_cast<size_t>(count), sequence), first);
}

// |observed − expected| within 4.5 standard deviations of a binomial: one false alarm in 150,000 other seeds.
void expect_binomial(int64_t observed, int64_t trials, double probability) {
  double expected = static_cast<double>(trials) * probability;
  EXPECT_NEAR(static_cast<double>(observed), expected, 4.5 * std::sqrt(expected * (1 - probability)));
}

TEST(Masking, Statistics) {
  Masking masking(ordinary(), mask_id, 17);
  TokenBatch clean = large_batch(4000);
  std::vector<int32_t> truth = clean.ids.to_vector<int32_t>();
  MaskedBatch masked = masking.mask(clean, 3);
  std::vector<int32_t> ids = masked.tokens.ids.to_vector<int32_t>();
  std::vector<int32_t> labels = masked.labels.to_vector<int32_t>();
  std::vector<int64_t> rows = masked.scored_rows.to_vector<int64_t>();
  ASSERT_EQ(labels.size(), rows.size());
  auto scored = static_cast<int64_t>(rows.size());

  std::vector<bool> is_scored(truth.size());
  int64_t masks = 0, changed = 0, kept = 0, neighbors = 0;
  std::map<int32_t, int64_t> replacements, positions;
  for (size_t i = 0; i < rows.size(); i++) {
    auto row = static_cast<size_t>(rows[i]);
    if (i > 0) {
      ASSERT_LT(rows[i - 1], rows[i]);
      neighbors += rows[i] == rows[i - 1] + 1;
    }
    is_scored[row] = true;
    ASSERT_EQ(labels[i], truth[row]);
    ASSERT_GE(labels[i], specials);
    positions[static_cast<int32_t>(row % 100)]++;
    if (ids[row] == mask_id) {
      masks++;
    } else if (ids[row] == truth[row]) {
      kept++;
    } else {
      changed++;
      ASSERT_GE(ids[row], specials);
      replacements[ids[row]]++;
    }
  }
  for (size_t row = 0; row < truth.size(); row++) {
    if (!is_scored[row]) {
      ASSERT_EQ(ids[row], truth[row]) << "row " << row;
    }
  }
  constexpr int64_t candidates = 4000 * 95;
  constexpr double same = 1.0 / (vocabulary_size - specials);  // a random token may be the true one
  expect_binomial(scored, candidates, 0.15);
  expect_binomial(masks, scored, 0.8);
  expect_binomial(changed, scored, 0.1 * (1 - same));
  expect_binomial(kept, scored, 0.1 + 0.1 * same);
  EXPECT_EQ(replacements.size(), static_cast<size_t>(vocabulary_size - specials));
  for (auto [id, count] : replacements) expect_binomial(count, changed, same);
  EXPECT_EQ(positions.size(), 95u);
  for (auto [position, count] : positions) expect_binomial(count, 4000, 0.15);
  expect_binomial(neighbors, 4000 * 94, 0.15 * 0.15);  // positions are independent
}

TEST(Masking, IsAFunctionOfSeedPassSequenceAndPosition) {
  Masking masking(ordinary(), mask_id, 1);
  MaskedBatch whole = masking.mask(large_batch(4, 10), 5);
  std::vector<int32_t> ids = whole.tokens.ids.to_vector<int32_t>();
  EXPECT_EQ(masking.mask(large_batch(4, 10), 5).tokens.ids.to_vector<int32_t>(), ids);
  // Sequences 12 and 13 in a batch of their own.
  std::vector<int32_t> last = masking.mask(large_batch(2, 12), 5).tokens.ids.to_vector<int32_t>();
  EXPECT_EQ(last, std::vector<int32_t>(ids.begin() + 200, ids.end()));

  EXPECT_NE(masking.mask(large_batch(4, 10), 6).tokens.ids.to_vector<int32_t>(), ids);
  EXPECT_NE(masking.mask(large_batch(4, 14), 5).tokens.ids.to_vector<int32_t>(), ids);
  EXPECT_NE(masking.mask(large_batch(4, 10 + (int64_t{1} << 32)), 5).tokens.ids.to_vector<int32_t>(), ids);
  EXPECT_NE(Masking(ordinary(), mask_id, 2).mask(large_batch(4, 10), 5).tokens.ids.to_vector<int32_t>(), ids);
  std::set<std::vector<int32_t>> masks;  // no seed's pass is another seed's
  for (uint64_t seed = 0; seed < 6; seed++)
    for (int64_t pass = 0; pass < 6; pass++)
      masks.insert(
          Masking(ordinary(), mask_id, seed).mask(large_batch(4), pass).tokens.ids.to_vector<int32_t>());
  EXPECT_EQ(masks.size(), 36u);
  EXPECT_EQ(whole.tokens.offsets, (std::vector<int64_t>{0, 100, 200, 300, 400}));
  EXPECT_EQ(whole.tokens.sequences, (std::vector<int64_t>{10, 11, 12, 13}));
}

TEST(Masking, LeavesTheGivenBatchAlone) {
  TokenBatch batch = large_batch(10);
  std::vector<int32_t> before = batch.ids.to_vector<int32_t>();
  MaskedBatch masked = Masking(ordinary(), mask_id, 1).mask(batch, 0);
  EXPECT_EQ(batch.ids.to_vector<int32_t>(), before);
  EXPECT_NE(masked.tokens.ids.to_vector<int32_t>(), before);
}

TEST(Masking, ClearedIdsAreNeitherScoredNorDrawn) {
  std::vector<bool> allowed = ordinary();
  allowed[7] = allowed[20] = false;
  TokenBatch clean = large_batch(2000);
  std::vector<int32_t> truth = clean.ids.to_vector<int32_t>();
  MaskedBatch masked = Masking(allowed, mask_id, 1).mask(clean, 0);
  const int32_t* ids = masked.tokens.ids.data<int32_t>();
  for (size_t row = 0; row < truth.size(); row++) {
    if (ids[row] == truth[row] || ids[row] == mask_id) continue;
    ASSERT_NE(ids[row], 7);
    ASSERT_NE(ids[row], 20);
  }
  std::vector<int32_t> labels = masked.labels.to_vector<int32_t>();
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 7) + std::count(labels.begin(), labels.end(), 20), 0);
  expect_binomial(static_cast<int64_t>(labels.size()),
                  std::count_if(truth.begin(), truth.end(), [&](int32_t id) { return allowed[id]; }), 0.15);
}

// One ordinary token: it is scored in every one of these batches, and the 80/10/10 still holds.
TEST(Masking, NoBatchWithoutAScoredToken) {
  Masking masking(ordinary(), mask_id, 1);
  int64_t masks = 0;
  constexpr int64_t trials = 2000;
  for (int64_t sequence = 0; sequence < trials; sequence++) {
    MaskedBatch masked = masking.mask(batch_of({{2, 9, 1, 3}}, sequence), 0);
    ASSERT_EQ(masked.scored_rows.to_vector<int64_t>(), std::vector<int64_t>{1});
    ASSERT_EQ(masked.labels.to_vector<int32_t>(), std::vector<int32_t>{9});
    masks += masked.tokens.ids.data<int32_t>()[1] == mask_id;
  }
  expect_binomial(masks, trials, 0.8);
}

// Ids 15 … 24 continue words. Sequences of words of 1 to 4 pieces, some of which can't be scored.
TEST(Masking, WholeWords) {
  MaskingOptions options{0.15, std::vector<bool>(vocabulary_size)};
  std::fill(options.continues_word.begin() + 15, options.continues_word.end(), true);
  std::vector<bool> allowed = ordinary();
  allowed[9] = allowed[18] = false;
  Masking masking(allowed, mask_id, 5, options);
  // Words: (piece at the beginning) 5 | 6+15 | 9 | 16+17+15 (after what isn't scored) | 7+20+21+22 | 18 | 19
  // | 8.
  const std::vector<int32_t> sequence{2, 24, 5, 6, 15, 9, 16, 17, 15, 3, 23, 7, 20, 21, 22, 18, 19, 8, 3};
  const std::vector<std::vector<size_t>> words{{1},  {2}, {3, 4}, {6, 7, 8}, {10}, {11, 12, 13, 14},
                                               {16}, {17}};
  constexpr int count = 20'000;
  TokenBatch clean = batch_of(std::vector(count, sequence));
  MaskedBatch masked = masking.mask(clean, 1);
  const int32_t* ids = masked.tokens.ids.data<int32_t>();
  std::vector<bool> is_scored(clean.ids.size());
  for (int64_t row : masked.scored_rows.to_vector<int64_t>()) is_scored[row] = true;
  std::vector<int64_t> scored(words.size());
  int64_t together = 0, across_unscored = 0, pieces = 0, hidden = 0, both_hidden = 0, whole = 0;
  for (int n = 0; n < count; ++n) {
    size_t begin = n * sequence.size();
    for (size_t w = 0; w < words.size(); ++w) {
      for (size_t piece : words[w]) ASSERT_EQ(is_scored[begin + piece], is_scored[begin + words[w][0]]);
      scored[w] += is_scored[begin + words[w][0]];
    }
    together += is_scored[begin + 2] && is_scored[begin + 3];  // two words
    across_unscored += is_scored[begin + 4] && is_scored[begin + 6];
    for (size_t piece : {0, 5, 9, 15, 18}) ASSERT_FALSE(is_scored[begin + piece]);
    if (!is_scored[begin + 11]) continue;
    ++whole;
    both_hidden += ids[begin + 11] == mask_id && ids[begin + 12] == mask_id;
    for (size_t piece : words[5]) {
      ++pieces;
      hidden += ids[begin + piece] == mask_id;
    }
  }
  for (int64_t n : scored) expect_binomial(n, count, 0.15);
  expect_binomial(together, count, 0.15 * 0.15);
  expect_binomial(across_unscored, count, 0.15 * 0.15);
  expect_binomial(hidden, pieces, 0.8);
  expect_binomial(both_hidden, whole, 0.8 * 0.8);  // each by a draw of its own
  // A batch of one word, until it is scored.
  for (int64_t n = 0; n < 50; ++n)
    EXPECT_EQ(masking.mask(batch_of({{2, 7, 20, 21, 3}}, n), 0).scored_rows.to_vector<int64_t>(),
              (std::vector<int64_t>{1, 2, 3}));
}

TEST(Masking, AnyProbability) {
  for (double probability : {0.01, 0.4, 1.0}) {
    Masking masking(ordinary(), mask_id, 2, {probability});
    EXPECT_EQ(masking.probability(), probability);
    expect_binomial(masking.mask(large_batch(1000), 0).labels.size(), 1000 * 95, probability);
  }
  EXPECT_EQ(Masking(ordinary(), mask_id, 2).probability(), 0.15);
}

TEST(Masking, Refusals) {
  Masking masking(ordinary(), mask_id, 1);
  EXPECT_EQ(message_of([&] {
              masking.mask(batch_of({{2, 1, 3}}), 0);
            }),
            "[masking] a batch must have a token that can be scored, none of these 3 can");
  EXPECT_EQ(message_of([&] {
              masking.mask(batch_of({{2, 25, 3}}), 0);
            }),
            "[masking] token ids must be below 25, got 25");
  EXPECT_EQ(message_of([&] {
              masking.mask(batch_of({{2, -1, 3}}), 0);
            }),
            "[masking] token ids must be below 25, got -1");
  EXPECT_EQ(message_of([] { Masking(ordinary(), 25, 1); }),
            "[masking] the id of [MASK] must be one of 25, got 25");
  EXPECT_EQ(message_of([] { Masking(std::vector<bool>(6), 4, 1); }),
            "[masking] a vocabulary must have ordinary tokens, all of these 6 are special");
  for (double probability : {0.0099, 1.01, double{NAN}})
    EXPECT_EQ(message_of([&] { Masking(ordinary(), 4, 1, {probability}); }),
              fmt::format("[masking] the probability must be in 0.01 … 1, got {}", probability));
  EXPECT_EQ(message_of([] {
              Masking(ordinary(), 4, 1, {0.15, std::vector<bool>(24)});
            }),
            "[masking] continues_word must say it of each of 25 ids, got 24");
  TokenBatch lying = batch_of({{2, 9, 3}});
  lying.offsets.back() = 4;
  EXPECT_THROW(masking.mask(lying, 0), Error);
  EXPECT_THROW(masking.mask(TokenBatch(), 0), Error);
}

TEST(Masking, OrdinaryTokensOfAVocabulary) {
  Vocabulary vocabulary({"a", "[MASK]", "[PAD]", "##b", "[UNK]", "[CLS]", "[SEP]", "[unused1]"});
  EXPECT_EQ(ordinary_tokens(vocabulary),
            (std::vector<bool>{true, false, false, true, false, false, false, true}));
  EXPECT_EQ(continuing_tokens(vocabulary),
            (std::vector<bool>{false, false, false, true, false, false, false, false}));
}

}  // namespace
}  // namespace bertie
