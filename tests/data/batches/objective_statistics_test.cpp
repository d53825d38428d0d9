// The whole objective over more than a million masked positions: what pairs and masks look like to a model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bertie/data/batches/sentence_pairs.h"

#include "tests/data/batches/small_vocabulary.h"

namespace bertie {
namespace {

constexpr int32_t words = 400, pieces = 100;

const Vocabulary& statistics_vocabulary() {
  static const Vocabulary instance = [] {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < words; ++i) tokens.push_back("w" + std::to_string(i));
    for (int i = 0; i < pieces; ++i) tokens.push_back("##p" + std::to_string(i));
    return Vocabulary(tokens);
  }();
  return instance;
}

// 4,000 documents of 1 to 14 lines of 1 to 29 words of 1 to 4 tokens, a few [UNK] among them.
TokenizedLines text() {
  TokenVectors lines;
  uint64_t state = 1;
  auto below = [&](uint64_t bound) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return static_cast<int32_t>((state >> 33) % bound);
  };
  for (int d = 0; d < 4000; ++d) {
    for (int l = below(14); l >= 0; --l) {
      for (int w = below(29); w >= 0; --w) {
        lines.ids.push_back(below(50) == 0 ? 1 : specials + below(words));
        for (int p = std::max(0, below(6) - 2); p > 0; --p)
          lines.ids.push_back(specials + words + below(pieces));
      }
      lines.end_sequence();
    }
    lines.end_document();
  }
  return TokenizedLines(std::move(lines));
}

void expect_share(int64_t part, int64_t all, double share) {
  EXPECT_NEAR(static_cast<double>(part) / static_cast<double>(all), share, 0.002) << part << " of " << all;
}

// A share of a million draws with probability p has the standard deviation √(p (1 − p) / 10⁶) ≤ 0.0005, so
// 0.2 points are 4 of them or more. That of whole words among 7 million tokens, in words of at most 4 tokens,
// is ≤ √(4 · 0.15 · 0.85 / 7·10⁶) = 0.0003, so 0.2 points are 7.
TEST(ObjectiveStatistics, OverAMillionMaskedPositions) {
  const TokenizedLines lines = text();
  for (bool whole_words : {false, true}) {
    MaskingOptions options;
    if (whole_words) options.continues_word = continuing_tokens(statistics_vocabulary());
    Masking masking(ordinary_tokens(statistics_vocabulary()), mask_id, 11, options);
    PairBatches batches(lines, statistics_vocabulary(), masking, {.max_length = 64}, 4096, 11);
    int64_t scored = 0, ordinary = 0, hidden = 0, kept = 0, changed = 0, pairs = 0, random = 0, broken = 0;
    std::vector<int64_t> replacements(statistics_vocabulary().size());
    for (int64_t pass = 0; scored < 1'100'000; ++pass) {
      for (int64_t b = 0, count = batches.begin_pass(pass); b < count; ++b) {
        MaskedBatch batch = batches.batch(b);
        const int32_t* ids = batch.tokens.ids.data<int32_t>();
        std::vector<int32_t> truth = batch.tokens.ids.to_vector<int32_t>();
        std::vector<bool> is_scored(truth.size());
        for (int64_t i = 0; i < batch.labels.size(); ++i) {
          int64_t row = batch.scored_rows.data<int64_t>()[i];
          int32_t label = batch.labels.data<int32_t>()[i];
          is_scored[row] = true;
          truth[row] = label;
          ASSERT_GE(label, specials);  // never a special one
          ++scored;
          hidden += ids[row] == mask_id;
          kept += ids[row] == label;
          if (ids[row] == mask_id || ids[row] == label) continue;
          ++changed;
          ASSERT_GE(ids[row], specials);
          ++replacements[ids[row]];
        }
        for (size_t row = 0; row < truth.size(); ++row) {
          ordinary += truth[row] >= specials;
          if (truth[row] >= specials + words && truth[row - 1] >= specials)
            broken += is_scored[row] != is_scored[row - 1];
        }
        for (size_t n = 0; n + 1 < batch.tokens.offsets.size(); ++n) {
          ASSERT_EQ(ids[batch.tokens.offsets[n]], cls);
          ASSERT_EQ(ids[batch.tokens.offsets[n + 1] - 1], sep);
          const SentencePair& pair = batches.pairs()[batch.tokens.sequences[n]];
          auto document = [&](int64_t line) {
            std::span<const int64_t> documents = lines.document_offsets;
            return std::upper_bound(documents.begin(), documents.end(), line) - documents.begin();
          };
          ASSERT_EQ(pair.random, document(pair.a_line) != document(pair.b_line));
          ++pairs;
          random += batch.next_sentence_labels.data<int32_t>()[n];
        }
      }
    }
    constexpr double ids_there_are = words + pieces;
    expect_share(scored, ordinary, 0.15);
    expect_share(hidden, scored, 0.8);
    expect_share(changed, scored, 0.1 * (1 - 1 / ids_there_are));  // a random one may be the true one
    expect_share(kept, scored, 0.1 + 0.1 / ids_there_are);
    if (whole_words) {
      EXPECT_EQ(broken, 0);
    } else {
      EXPECT_GT(broken, 100'000);
    }
    // ± 0.5 points are 3.5 standard deviations of so many coins, of which a few are still owed.
    EXPECT_GT(pairs, 120'000);
    EXPECT_NEAR(static_cast<double>(random) / static_cast<double>(pairs), 0.5, 0.005);
    // Random tokens are uniform over all ordinary ones: chi-square with 499 degrees of freedom, whose
    // deviation is √(2 · 499).
    double square_sum = 0, expected = static_cast<double>(changed) / ids_there_are;
    for (int32_t id = specials; id < statistics_vocabulary().size(); ++id)
      square_sum += std::pow(static_cast<double>(replacements[id]) - expected, 2) / expected;
    EXPECT_NEAR(square_sum, ids_there_are - 1, 4.5 * std::sqrt(2 * (ids_there_are - 1)));
  }
}

}  // namespace
}  // namespace bertie
