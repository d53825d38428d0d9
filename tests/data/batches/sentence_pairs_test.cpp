#include "bertie/data/batches/sentence_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/data/batches/small_vocabulary.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

const Vocabulary& vocabulary() {
  static const Vocabulary instance = [] {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < 60'000; ++i) tokens.push_back("w" + std::to_string(i));
    return Vocabulary(tokens);
  }();
  return instance;
}

Masking masking(uint64_t seed = 1) {
  return Masking(ordinary_tokens(vocabulary()), vocabulary().mask_id(), seed);
}

// Documents of so many lines of so many tokens each.
struct Text {
  explicit Text(const std::vector<std::vector<int>>& documents) {
    TokenVectors vectors;
    for (const auto& document : documents) {
      for (int tokens : document) {
        for (int i = 0; i < tokens; ++i) vectors.ids.push_back(specials + next++ % 60'000);
        vectors.end_sequence();
      }
      vectors.end_document();
    }
    lines = TokenizedLines(std::move(vectors));
  }
  int64_t document_of(int64_t line) const {
    std::span<const int64_t> offsets = lines.document_offsets;
    return std::upper_bound(offsets.begin(), offsets.end(), line) - offsets.begin() - 1;
  }
  TokenizedLines lines;
  int32_t next = 0;  // ids are all different, up to 60,000
};

// Documents of 1 to 12 lines of 1 to 40 tokens.
Text ragged_text(int documents) {
  std::vector<std::vector<int>> sizes;
  for (int d = 0; d < documents; ++d) {
    auto& document = sizes.emplace_back();
    for (int i = 0; i < 1 + d * 7 % 12; ++i) document.push_back(1 + (d * 13 + i * 17) % 40);
  }
  return Text(sizes);
}

// The tokens of a segment: their indices in the text.
int64_t first_token(const Text& text, int64_t line, int64_t skip) { return text.lines.offsets[line] + skip; }

// What the pairs of any text are: within one document each, of the right sizes, and "follows" where B begins
// where A's lines end.
void check_pairs(const Text& text, const PairOptions& options, const std::vector<SentencePair>& pairs) {
  for (const SentencePair& pair : pairs) {
    ASSERT_GE(pair.a_size, 1);
    ASSERT_GE(pair.b_size, 1);
    ASSERT_LE(pair.length(), options.max_length);
    ASSERT_GE(pair.a_skip, 0);
    ASSERT_GE(pair.b_skip, 0);
    ASSERT_LT(pair.a_skip, text.lines[pair.a_line].size());
    ASSERT_LT(pair.b_skip, text.lines[pair.b_line].size());
    int64_t a = first_token(text, pair.a_line, pair.a_skip), a_end = a + pair.a_size;
    int64_t b = first_token(text, pair.b_line, pair.b_skip), b_end = b + pair.b_size;
    int64_t a_document = text.document_of(pair.a_line), b_document = text.document_of(pair.b_line);
    ASSERT_LE(a_end, text.lines.offsets[text.lines.document_offsets[a_document + 1]]);
    ASSERT_LE(b_end, text.lines.offsets[text.lines.document_offsets[b_document + 1]]);
    if (pair.random) {
      ASSERT_NE(a_document, b_document);
    } else {
      ASSERT_EQ(a_document, b_document);
      ASSERT_LE(a_end, b);
    }
    // A segment is cut only where the pair would be too long.
    if (pair.length() == options.max_length) continue;
    ASSERT_EQ(pair.a_skip, 0);
    ASSERT_EQ(pair.b_skip, 0);
    if (!pair.random) {
      ASSERT_EQ(a_end, b);
    }
    std::span<const int64_t> ends = text.lines.offsets;
    ASSERT_TRUE(std::binary_search(ends.begin(), ends.end(), a_end));
    ASSERT_TRUE(std::binary_search(ends.begin(), ends.end(), b_end));
  }
}

int64_t count_random(const std::vector<SentencePair>& pairs) {
  return std::count_if(pairs.begin(), pairs.end(), [](const SentencePair& pair) { return pair.random; });
}

// What random pairs are more than others changes by one with each pair and is drawn back by a 32nd part of
// it: a standard deviation of √(32 / 2) = 4.
void expect_half_random(const std::vector<SentencePair>& pairs) {
  auto n = static_cast<double>(pairs.size());
  EXPECT_NEAR(2 * static_cast<double>(count_random(pairs)), n, 4.5 * 4);
}

TEST(SentencePairs, HalfOfTheLabelsAreRandom) {
  Text text = ragged_text(6000);
  int64_t pairs = 0, random = 0;
  for (int64_t max_length : {16, 64, 128})
    for (int64_t pass = 0; pass < 12; ++pass) {
      PairOptions options{max_length};
      std::vector<SentencePair> plan = plan_pairs(text.lines, options, 3, pass);
      check_pairs(text, options, plan);
      pairs += static_cast<int64_t>(plan.size());
      random += count_random(plan);
      expect_half_random(plan);
    }
  EXPECT_GT(pairs, 160'000);
  EXPECT_NEAR(static_cast<double>(random) / static_cast<double>(pairs), 0.5, 0.005);
}

// Of 80 documents, as are held out of the default text, with some 330 pairs: ± 0.5 points are 3.6 standard
// deviations of the mean of 20 passes, which is 4 / (2 · 330 · √20).
TEST(SentencePairs, HalfOfTheLabelsAreRandomInSmallTexts) {
  Text text = ragged_text(80);
  for (bool single_lines : {false, true}) {
    int64_t pairs = 0, random = 0;
    for (int64_t pass = 0; pass < 20; ++pass) {
      std::vector<SentencePair> plan =
          plan_pairs(text.lines, {.max_length = 32, .single_lines = single_lines}, 3, pass);
      pairs += static_cast<int64_t>(plan.size());
      random += count_random(plan);
      expect_half_random(plan);
    }
    EXPECT_NEAR(static_cast<double>(random) / static_cast<double>(pairs), 0.5, 0.005);
  }
}

// Also where every second pair has a single line left, and in one-line mode.
TEST(SentencePairs, HalfOfTheLabelsAreRandomInShortDocuments) {
  for (int lines : {2, 3, 10})
    for (bool single_lines : {false, true}) {
      Text text(std::vector(100'000 / lines, std::vector(lines, 9)));
      std::vector<SentencePair> plan =
          plan_pairs(text.lines, {.max_length = 40, .single_lines = single_lines}, 8, 0);
      EXPECT_GT(plan.size(), 30'000u);
      expect_half_random(plan);
    }
}

// The coin says nothing about A: it is random as often whatever A's place in the document is, but for the
// last line, which nothing follows.
TEST(SentencePairs, SingleLinesServeOnceAsA) {
  constexpr int lines = 10;
  Text text(std::vector(3000, std::vector(lines, 9)));
  std::vector<int64_t> as_a(lines), random(lines);
  std::map<int64_t, int64_t> documents, places;
  int64_t randoms = 0;
  for (int64_t pass = 0; pass < 4; ++pass) {
    std::set<int64_t> seen;
    for (const SentencePair& pair :
         plan_pairs(text.lines, {.max_length = 64, .single_lines = true}, 8, pass)) {
      ASSERT_TRUE(seen.insert(pair.a_line).second);
      ASSERT_EQ(pair.length(), 21);
      ASSERT_EQ(pair.a_skip, 0);
      ASSERT_EQ(pair.b_skip, 0);
      ++as_a[pair.a_line % lines];
      random[pair.a_line % lines] += pair.random;
      if (pair.random) {
        ASSERT_NE(pair.a_line / lines, pair.b_line / lines);
        ++documents[pair.b_line / lines];
        ++places[pair.b_line % lines];
        ++randoms;
      } else {
        ASSERT_EQ(pair.b_line, pair.a_line + 1);
      }
    }
  }
  EXPECT_EQ(as_a[0], 12'000);
  EXPECT_EQ(random[lines - 1], as_a[lines - 1]);
  // A little less than half, since those of the last lines make up for it.
  double others = 0, random_others = 0;
  for (int place = 0; place + 1 < lines; ++place) {
    others += static_cast<double>(as_a[place]);
    random_others += static_cast<double>(random[place]);
  }
  double share = random_others / others;
  EXPECT_GT(share, 0.4);
  EXPECT_LT(share, 0.5);
  for (int place = 0; place + 1 < lines; ++place) {
    auto n = static_cast<double>(as_a[place]);
    EXPECT_NEAR(static_cast<double>(random[place]), share * n, 4.5 * std::sqrt(n * share * (1 - share)))
        << place;
  }
  // Each document and each of its lines is as likely to be the random one.
  double per_place = static_cast<double>(randoms) / lines;
  for (auto [place, count] : places)
    EXPECT_NEAR(static_cast<double>(count), per_place, 4.5 * std::sqrt(per_place)) << place;
  EXPECT_GT(documents.size(), 2990u);  // of 3,000 with some 15 each
  double square_sum = 0, per_document = static_cast<double>(randoms) / 3000;
  for (int64_t document = 0; document < 3000; ++document)
    square_sum += std::pow(static_cast<double>(documents[document]) - per_document, 2) / per_document;
  EXPECT_NEAR(square_sum, 2999, 4.5 * std::sqrt(2.0 * 2999));  // chi-square
}

// Every line is gathered once, where it isn't cut: what A and a following B hold is the whole text once, but
// for what is too long.
TEST(SentencePairs, EveryTokenIsGatheredOnce) {
  Text text = ragged_text(2000);
  std::vector<SentencePair> plan = plan_pairs(text.lines, {.max_length = 128, .short_seq_prob = 0.1}, 5, 0);
  std::vector<int> used(text.lines.ids.size());
  auto use = [&](int64_t line, int64_t skip, int64_t size) {
    for (int64_t i = 0; i < size; ++i) ++used[first_token(text, line, skip) + i];
  };
  for (const SentencePair& pair : plan) {
    use(pair.a_line, pair.a_skip, pair.a_size);
    if (!pair.random) use(pair.b_line, pair.b_skip, pair.b_size);
  }
  EXPECT_EQ(*std::max_element(used.begin(), used.end()), 1);
  auto unused = static_cast<double>(std::count(used.begin(), used.end(), 0));
  EXPECT_LT(unused, 0.1 * static_cast<double>(used.size()));  // cut off at an end
  // Random segments repeat about as much again as they replace.
  int64_t tokens = 0;
  for (const SentencePair& pair : plan) tokens += pair.a_size + pair.b_size;
  double share = static_cast<double>(tokens) / static_cast<double>(used.size());
  EXPECT_GT(share, 1.1);
  EXPECT_LT(share, 1.6);
}

// A cut takes tokens of the longer segment, from both ends alike.
TEST(SentencePairs, CutsAtBothEnds) {
  Text text(std::vector(5000, std::vector{20, 30}));
  int64_t front = 0, all = 0, cut = 0;
  for (const SentencePair& pair : plan_pairs(text.lines, {.max_length = 33, .short_seq_prob = 0}, 5, 0)) {
    if (pair.random) continue;
    ASSERT_EQ(pair.a_size, 15);
    ASSERT_EQ(pair.b_size, 15);
    front += pair.a_skip + pair.b_skip;
    all += 20;
    ++cut;
  }
  ASSERT_GT(cut, 1000);
  EXPECT_NEAR(static_cast<double>(front), static_cast<double>(all) / 2,
              4.5 * std::sqrt(static_cast<double>(all)) / 2);
  Text uneven(std::vector(3, std::vector{5, 100}));
  for (int64_t pass = 0; pass < 20; ++pass)
    for (const SentencePair& pair :
         plan_pairs(uneven.lines, {.max_length = 34, .short_seq_prob = 0}, 5, pass)) {
      bool a_short = text.lines[pair.a_line].size() == 5 || pair.a_line % 2 == 0;
      bool b_short = pair.b_line % 2 == 0 && pair.b_size == 5;
      if (a_short && !pair.random) {
        ASSERT_EQ(pair.a_size, 5);
        ASSERT_EQ(pair.b_size, 26);
      }
      if (!a_short && !b_short) {
        ASSERT_EQ(pair.a_size, 16);  // the odd token stays in A
        ASSERT_EQ(pair.b_size, 15);
      }
    }
}

// A tenth is gathered up to a length drawn evenly; lines of one token show which.
TEST(SentencePairs, ShortPairs) {
  Text text(std::vector(200, std::vector(2000, 1)));
  std::vector<int64_t> lengths;
  for (int64_t pass = 0; pass < 4; ++pass)
    for (const SentencePair& pair : plan_pairs(text.lines, {.max_length = 103}, 5, pass))
      if (!pair.random && pair.a_line % 2000 <= 1900) lengths.push_back(pair.length() - 3);
  auto n = static_cast<double>(lengths.size()), share = 0.1 * 98 / 99;
  auto shorter = static_cast<double>(
      std::count_if(lengths.begin(), lengths.end(), [](int64_t length) { return length < 100; }));
  EXPECT_NEAR(shorter, n * share, 4.5 * std::sqrt(n * share));
  for (int64_t length : {2, 50, 99})
    EXPECT_GT(std::count(lengths.begin(), lengths.end(), length), 0) << length;
  for (const SentencePair& pair : plan_pairs(text.lines, {.max_length = 103, .short_seq_prob = 0}, 5, 0))
    if (!pair.random && pair.a_line % 2000 <= 1900) {
      ASSERT_EQ(pair.length(), 103);
    }
}

TEST(SentencePairs, APassIsAFunctionOfSeedAndNumber) {
  Text text = ragged_text(60);
  std::set<std::vector<int64_t>> plans;
  auto numbers = [&](uint64_t seed, int64_t pass) {
    std::vector<int64_t> result;
    for (const SentencePair& pair : plan_pairs(text.lines, {}, seed, pass))
      for (int64_t number : {pair.a_line, pair.b_line, int64_t{pair.a_size}, int64_t{pair.random}})
        result.push_back(number);
    return result;
  };
  for (uint64_t seed = 0; seed < 5; ++seed)
    for (int64_t pass = 0; pass < 5; ++pass) plans.insert(numbers(seed, pass));
  EXPECT_EQ(plans.size(), 25u);
  EXPECT_EQ(numbers(3, 4), numbers(3, 4));
  EXPECT_EQ(sizeof(SentencePair), 32u);
}

TEST(SentencePairs, Refusals) {
  Text text = ragged_text(4);
  auto message = [&](const std::vector<int64_t>& documents, PairOptions options = {}) {
    TokenizedLines lines = text.lines;
    if (!documents.empty()) lines.document_offsets = documents;
    return message_of([&] { plan_pairs(lines, options, 1, 0); });
  };
  EXPECT_EQ(
      message({0, 5}),
      "[pairs] next-sentence prediction needs at least two documents, whose sentences can be told apart; "
      "there is 1");
  EXPECT_EQ(
      message({0}),
      "[pairs] next-sentence prediction needs at least two documents, whose sentences can be told apart; "
      "there are 0");
  EXPECT_EQ(message({0, 1, 2, 3}),
            "[pairs] next-sentence prediction needs documents of at least two lines, all 3 have one");
  EXPECT_EQ(message({0, 2, 2, 3}), "[pairs] a document must have lines, number 1 has none");
  EXPECT_EQ(message({}, {.max_length = 4}),
            "[pairs] max_length must be in 5 … 65536, room for [CLS] A [SEP] B [SEP], got 4");
  EXPECT_NE(message({}, {.max_length = 65'537}), "no error");
  EXPECT_NE(message({}, {.short_seq_prob = 1.5}), "no error");
  EXPECT_NE(message({}, {.short_seq_prob = NAN}), "no error");
  for (int64_t max_length : {5, 65'536}) EXPECT_EQ(message({}, {max_length}), "no error");
  const std::vector<int64_t> empty_line{0, 3, 3, 5, 7}, documents{0, 2, 4};
  TokenizedLines lines = text.lines;
  lines.offsets = empty_line;
  lines.document_offsets = documents;
  EXPECT_EQ(message_of([&] { plan_pairs(lines, {}, 1, 0); }),
            "[pairs] a line must have 1 … 2147483647 tokens, number 1 has 0");
  EXPECT_EQ(message_of([&] { PairBatches(text.lines, vocabulary(), masking(), {}, 0, 1); }),
            "[batch] the tokens of a batch must be at least 1, got 0");
  lines.document_offsets = lines.document_offsets.first(2);
  EXPECT_NE(message_of([&] { PairBatches(lines, vocabulary(), masking(), {}, 9, 1); }), "no error");
}

// Every pair once per pass, as [CLS] A [SEP] B [SEP] with types 0 and 1, its tokens those of the text.
TEST(PairBatches, HoldEveryPairOnce) {
  Text text = ragged_text(300);
  PairBatches batches(text.lines, vocabulary(), masking(), {.max_length = 48}, 256, 7);
  for (int64_t pass : {0, 3}) {
    int64_t count = batches.begin_pass(pass), tokens = 0;
    std::vector<int64_t> order;
    for (int64_t b = 0; b < count; ++b) {
      MaskedBatch batch = batches.batch(b);
      ASSERT_LE(batch.tokens.tokens(), 256);
      tokens += batch.tokens.tokens();
      std::vector<int32_t> ids = batch.tokens.ids.to_vector<int32_t>();
      std::vector<int32_t> types = batch.tokens.token_type_ids.to_vector<int32_t>();
      for (int64_t i = 0; i < batch.labels.size(); ++i)
        ids[batch.scored_rows.data<int64_t>()[i]] = batch.labels.data<int32_t>()[i];  // the true ones
      ASSERT_EQ(batch.next_sentence_labels.size(), static_cast<int64_t>(batch.tokens.sequences.size()));
      for (size_t n = 0; n < batch.tokens.sequences.size(); ++n) {
        const SentencePair& pair = batches.pairs()[batch.tokens.sequences[n]];
        order.push_back(batch.tokens.sequences[n]);
        std::vector<int32_t> wanted{cls};
        auto append = [&](int64_t line, int64_t skip, int64_t size) {
          auto from = text.lines.ids.begin() + first_token(text, line, skip);
          wanted.insert(wanted.end(), from, from + size);
          wanted.push_back(sep);
        };
        append(pair.a_line, pair.a_skip, pair.a_size);
        size_t b_begin = wanted.size();
        append(pair.b_line, pair.b_skip, pair.b_size);
        int64_t begin = batch.tokens.offsets[n], end = batch.tokens.offsets[n + 1];
        ASSERT_EQ(std::vector(ids.begin() + begin, ids.begin() + end), wanted);
        for (int64_t row = begin; row < end; ++row)
          ASSERT_EQ(types[row], row - begin >= static_cast<int64_t>(b_begin));
        ASSERT_EQ(batch.next_sentence_labels.data<int32_t>()[n], pair.random);
      }
    }
    EXPECT_GT(tokens, 256 * 8 / 10 * count);  // batches are well filled
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order.size(), batches.pairs().size());
    for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<int64_t>(i));
  }
}

TEST(PairBatches, WithoutAScorableTokenNoneIsScored) {
  Text text({{2, 3}, {4, 1}});
  const std::vector<int32_t> unknown(text.lines.ids.size(), vocabulary().unk_id());
  TokenizedLines lines = text.lines;
  lines.ids = unknown;
  PairBatches batches(lines, vocabulary(), masking(), {}, 8, 7);
  ASSERT_GE(batches.begin_pass(0), 2);
  MaskedBatch batch = batches.batch(1);
  EXPECT_EQ(batch.scored_rows.size(), 0);
  EXPECT_EQ(batch.labels.size(), 0);
  EXPECT_EQ(batch.next_sentence_labels.size(), static_cast<int64_t>(batch.tokens.sequences.size()));
}

}  // namespace
}  // namespace bertie
