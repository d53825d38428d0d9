#include "bertie/models/mlm_evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "bertie/data/batches/sentence_pairs.h"
#include "tests/message_of.h"
#include "tests/models/small_config.h"
#include "tests/token_lines.h"

namespace bertie {
namespace {

constexpr int32_t mask_id = 4;

const Vocabulary& vocabulary() {
  static const Vocabulary instance(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d", "e", "f", "g"});
  return instance;
}

// `count` lines of 1 to 14 words.
TokenizedLines ragged_lines(int count) {
  std::vector<std::vector<int32_t>> sequences;
  for (int i = 0; i < count; i++) {
    auto& sequence = sequences.emplace_back();
    for (int j = 0; j < 1 + i * 5 % 14; j++) sequence.push_back(5 + (i * 3 + j * j) % 7);
  }
  return lines_of(sequences);
}

MlmBatches batches_of(TokenizedLines lines, int64_t batch_tokens) {
  return MlmBatches(std::move(lines), vocabulary(), Masking(ordinary_tokens(vocabulary()), mask_id, 3),
                    batch_tokens, 3);
}

// A batch by hand. Sequence n has the number numbers[n].
MaskedBatch batch_by_hand(const std::vector<std::vector<int32_t>>& shown, const std::vector<int64_t>& numbers,
                          const std::vector<int64_t>& rows, const std::vector<int32_t>& labels) {
  TokenizedLines packed = lines_of(shown);
  return {{Array::from(std::vector(packed.ids.begin(), packed.ids.end())), Array(),
           std::vector(packed.offsets.begin(), packed.offsets.end()), numbers},
          Array::from(rows),
          Array::from(labels)};
}

std::unique_ptr<BertForMaskedLM> evaluated_model(DType type = DType::f64) {
  auto model =
      std::make_unique<BertForMaskedLM>(small_config(vocabulary().size()), Initializer::normal(0.4, 5, type));
  model->eval();
  return model;
}

// From the logits, position by position: what the score is by its definition.
TEST(MlmEvaluation, IsTheMeanOverAllScoredPositions) {
  for (DType type : {DType::f64, DType::f32}) {
    std::unique_ptr<BertForMaskedLM> owner = evaluated_model(type);
    const BertForMaskedLM& model = *owner;
    MlmBatches held_out =
        batches_of(ragged_lines(40), 30);  // batches of different numbers of scored positions
    std::vector<MaskedBatch> batches = evaluation_batches(held_out, 100);
    ASSERT_GT(batches.size(), 5u);
    double scored = 0, hidden = 0, loss = 0, hidden_loss = 0, right = 0, shown_right = 0;
    std::set<int64_t> sizes;
    for (const MaskedBatch& batch : batches) {
      sizes.insert(batch.labels.size());
      Tensor logits = model.logits(bert_input(batch.tokens), batch.scored_rows);
      Array log_p = log_probabilities(model, batch);
      ASSERT_EQ(log_p.shape(), (Shape{batch.labels.size(), 12}));
      for (int64_t m = 0; m < batch.labels.size(); m++) {
        double sum = 0;
        int32_t choice = 0, label = batch.labels.data<int32_t>()[m];
        for (int32_t word = 0; word < 12; word++) {
          sum += std::exp(logits.array().item(m * 12 + word));
          if (logits.array().item(m * 12 + word) > logits.array().item(m * 12 + choice)) choice = word;
        }
        double log_p_of_label = logits.array().item(m * 12 + label) - std::log(sum);
        EXPECT_NEAR(log_p.item(m * 12 + label), log_p_of_label, 1e-5);
        bool is_hidden = batch.tokens.ids.item(batch.scored_rows.data<int64_t>()[m]) == mask_id;
        scored++;
        loss -= log_p_of_label;
        right += choice == label;
        shown_right += choice == label && !is_hidden;
        hidden += is_hidden;
        if (is_hidden) hidden_loss -= log_p_of_label;
      }
    }
    ASSERT_GT(sizes.size(), 2u);
    ASSERT_GT(scored, hidden);
    ASSERT_GT(shown_right, 0);
    ASSERT_GT(right, shown_right);
    MlmScore score = evaluate(model, batches, mask_id);
    EXPECT_EQ(static_cast<double>(score.scored), scored);
    EXPECT_EQ(static_cast<double>(score.hidden), hidden);
    EXPECT_NEAR(score.loss, loss / scored, 1e-6);
    EXPECT_NEAR(score.hidden_loss, hidden_loss / hidden, 1e-6);
    EXPECT_NEAR(score.accuracy, right / scored, 1e-12);
  }
}

// From the logits: the words as above, by the MLM alone; the labels by their definition.
TEST(MlmEvaluation, ScoresPairsAlso) {
  TokenVectors vectors;
  for (int i = 0; i < 60; ++i) {
    for (int j = 0; j < 1 + i % 6; ++j) vectors.ids.push_back(5 + (i * 3 + j) % 7);
    vectors.end_sequence();
    if (i % 5 == 4) vectors.end_document();
  }
  PairBatches held_out(TokenizedLines(std::move(vectors)), vocabulary(),
                       Masking(ordinary_tokens(vocabulary()), mask_id, 3), {.max_length = 16}, 60, 3);
  std::vector<MaskedBatch> batches = evaluation_batches(held_out, 100);
  int64_t positions = 0;
  for (const MaskedBatch& batch : batches) {
    EXPECT_LT(positions, 100);
    positions += batch.labels.size();
  }
  EXPECT_GE(positions, 100);
  held_out.begin_pass(0);
  EXPECT_EQ(batches[0].tokens.ids.to_vector<int32_t>(), held_out.batch(0).tokens.ids.to_vector<int32_t>());

  for (DType type : {DType::f64, DType::f32}) {
    BertForPreTraining model(small_config(vocabulary().size()), Initializer::normal(0.4, 5, type));
    EXPECT_EQ(message_of([&] { evaluate(model, batches, mask_id); }),
              "[evaluate] the model must be in eval mode");
    model.eval();
    double loss = 0, right = 0, word_loss = 0, words_right = 0;
    int64_t pairs = 0, told = 0;
    for (const MaskedBatch& batch : batches) {
      auto logits = model.logits(bert_input(batch.tokens), batch.scored_rows);
      const Array &z = logits.seq_relationship_logits.array(), &w = logits.prediction_logits.array();
      for (int64_t n = 0; n < batch.next_sentence_labels.size(); ++n, ++pairs) {
        auto label = static_cast<int64_t>(batch.next_sentence_labels.item(n));
        double margin = z.item(2 * n + label) - z.item(2 * n + 1 - label);
        loss += std::log1p(std::exp(-margin));
        right += margin > 0;
      }
      for (int64_t m = 0; m < batch.labels.size(); ++m) {
        double sum = 0, best = -INFINITY, own = w.item(m * 12 + static_cast<int64_t>(batch.labels.item(m)));
        for (int64_t word = 0; word < 12; ++word) {
          sum += std::exp(w.item(m * 12 + word));
          best = std::max(best, w.item(m * 12 + word));
        }
        word_loss += std::log(sum) - own;
        words_right += own == best;
      }
    }
    EXPECT_GT(pairs, 20);
    EXPECT_GT(right, 0);
    EXPECT_LT(right, static_cast<double>(pairs));
    PretrainingScore score =
        evaluate(model, batches, mask_id, [&](int64_t done) { EXPECT_EQ(done, ++told); });
    EXPECT_EQ(told, static_cast<int64_t>(batches.size()));
    EXPECT_EQ(score.next_sentence.pairs, pairs);
    EXPECT_NEAR(score.next_sentence.loss, loss / static_cast<double>(pairs), 1e-6);
    EXPECT_NEAR(score.next_sentence.accuracy, right / static_cast<double>(pairs), 1e-12);
    EXPECT_EQ(score.mlm.scored, positions);
    EXPECT_NEAR(score.mlm.loss, word_loss / static_cast<double>(positions), 1e-6);
    EXPECT_NEAR(score.mlm.accuracy, words_right / static_cast<double>(positions), 1e-12);
    EXPECT_GT(score.mlm.hidden, positions / 2);
    EXPECT_EQ(evaluate(model, {}, mask_id).next_sentence.pairs, 0);
    batches[0].next_sentence_labels = Array();
    EXPECT_EQ(message_of([&] { evaluate(model, batches, mask_id); }),
              "[evaluate] next-sentence prediction needs pairs of segments, batch 0 has none");
    batches = evaluation_batches(held_out, 100);
  }
}

TEST(MlmEvaluation, NeedsEvalModeAndNothingToScoreScoresNothing) {
  std::unique_ptr<BertForMaskedLM> owner = evaluated_model();
  BertForMaskedLM& model = *owner;
  std::vector<MaskedBatch> batches = evaluation_batches(batches_of(ragged_lines(4), 30), 1);
  model.train();
  EXPECT_EQ(message_of([&] { evaluate(model, batches, mask_id); }),
            "[evaluate] the model must be in eval mode");
  EXPECT_EQ(message_of([&] { log_probabilities(model, batches[0]); }),
            "[evaluate] the model must be in eval mode");
  model.eval();
  MlmScore none = evaluate(model, {}, mask_id);
  EXPECT_EQ(none.scored, 0);
  EXPECT_EQ(none.loss, 0);
  EXPECT_EQ(none.hidden_loss, 0);
}

// 4 a, 2 b, 1 c, no d … g in 7 ordinary tokens; each count and one more, of 7 + 7.
TEST(MlmEvaluation, TheUnigramModelCountsOrdinaryWords) {
  UnigramModel unigram(lines_of({{5, 6, 5, 1}, {7, 5}, {4, 5, 6, 1, 1, 1, 1, 1, 1}}),
                       ordinary_tokens(vocabulary()));
  ASSERT_EQ(unigram.log_probability().size(), 12u);
  const double expected[] = {5 / 14., 3 / 14., 2 / 14., 1 / 14., 1 / 14., 1 / 14., 1 / 14.};
  for (int32_t word = 0; word < 7; word++)
    EXPECT_NEAR(unigram.log_probability()[5 + word], std::log(expected[word]), 1e-12) << word;
  for (int32_t special = 0; special < 5; special++)
    EXPECT_EQ(unigram.log_probability()[special], -INFINITY) << special;

  // Two batches; "a" is the choice everywhere. Scored: hidden b, shown a, hidden d; then hidden a.
  std::vector<MaskedBatch> batches{batch_by_hand({{2, 4, 5, 3}, {2, 7, 4, 3}}, {0, 1}, {1, 2, 6}, {6, 5, 8}),
                                   batch_by_hand({{2, 4, 3}}, {2}, {1}, {5})};
  MlmScore score = unigram.evaluate(batches, mask_id);
  EXPECT_EQ(score.scored, 4);
  EXPECT_EQ(score.hidden, 3);
  EXPECT_NEAR(score.loss, -std::log(3 / 14. * 5 / 14. * 1 / 14. * 5 / 14.) / 4, 1e-12);
  EXPECT_NEAR(score.hidden_loss, -std::log(3 / 14. * 1 / 14. * 5 / 14.) / 3, 1e-12);
  EXPECT_NEAR(score.accuracy, 0.5, 1e-12);
}

// A small text: whole passes, one after the other, each with masks of its own, until there are enough
// positions.
TEST(MlmEvaluation, ASmallTextIsScoredAsAWhole) {
  MlmBatches held_out = batches_of(ragged_lines(20), 40);
  BatchPlan plan = held_out.ordered_pass();
  ASSERT_GT(plan.size(), 3);
  for (int64_t wanted : {15, 60, 150}) {
    std::vector<MaskedBatch> batches = evaluation_batches(held_out, wanted);
    ASSERT_EQ(static_cast<int64_t>(batches.size()) % plan.size(), 0);
    int64_t found = 0, before_last = 0, passes = static_cast<int64_t>(batches.size()) / plan.size();
    for (size_t i = 0; i < batches.size(); i++) {
      int64_t pass = static_cast<int64_t>(i) / plan.size(), b = static_cast<int64_t>(i) % plan.size();
      MaskedBatch expected = held_out.batch(plan[b], pass);
      EXPECT_EQ(batches[i].tokens.ids.to_vector<int32_t>(), expected.tokens.ids.to_vector<int32_t>());
      EXPECT_EQ(batches[i].labels.to_vector<int32_t>(), expected.labels.to_vector<int32_t>());
      EXPECT_EQ(batches[i].tokens.sequences, expected.tokens.sequences);
      found += batches[i].labels.size();
      if (pass < passes - 1) before_last = found;
    }
    EXPECT_GE(found, wanted);
    EXPECT_LT(before_last, wanted);  // no pass more than needed
  }
  std::vector<MaskedBatch> batches = evaluation_batches(held_out, 150);
  EXPECT_GT(batches.size(), static_cast<size_t>(plan.size()));  // a second pass
  EXPECT_NE(coverage(batches, held_out).find(" positions in all 20 sequences, masked "), std::string::npos);
  MlmBatches one = batches_of(lines_of({{5}}), 40);
  EXPECT_EQ(evaluation_batches(one, 1000).size(), 64u);  // one position each
  EXPECT_EQ(coverage(evaluation_batches(one, 1), one), "1 positions in all 1 sequences");
  EXPECT_EQ(coverage(evaluation_batches(one, 1000), one), "64 positions in all 1 sequences, masked 64 times");
}

// Two texts, of one word and of many, behind each other, the other way round, and line by line in turn: each
// time about the score of all of it. Scored from the beginning, the first two would be 0.1 and 4.
TEST(MlmEvaluation, EveryPartOfALargeTextHasItsShare) {
  constexpr int lines = 8000, words = 5;
  std::vector<std::vector<int32_t>> easy(lines / 2, std::vector<int32_t>(words, 5)), hard, mixed;
  for (int i = 0; i < lines / 2; i++) {
    hard.emplace_back();
    for (int j = 0; j < words; j++) hard.back().push_back(6 + (i * 7 + j * 3) % 6);
    mixed.push_back(easy[i]);
    mixed.push_back(hard[i]);
  }
  auto one_after_the_other = [](std::vector<std::vector<int32_t>> first, const auto& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  };
  // p: 0.9 of the one word, the rest for the others equally.
  std::vector<std::vector<int32_t>> training(9, std::vector<int32_t>(600, 5));
  training.emplace_back();
  for (int i = 0; i < 600; i++) training.back().push_back(6 + i % 6);
  UnigramModel unigram(lines_of(training), ordinary_tokens(vocabulary()));
  double losses[] = {-unigram.log_probability()[5], -unigram.log_probability()[6]};
  ASSERT_LT(losses[0], 0.12);
  ASSERT_GT(losses[1], 4);

  for (const auto& text : {one_after_the_other(easy, hard), one_after_the_other(hard, easy), mixed}) {
    MlmBatches held_out = batches_of(lines_of(text), 512);
    std::vector<MaskedBatch> all;
    BatchPlan plan = held_out.ordered_pass();
    for (int64_t b = 0; b < plan.size(); b++) all.push_back(held_out.batch(plan[b], 0));
    double whole = unigram.evaluate(all, mask_id).loss;
    EXPECT_NEAR(whole, (losses[0] + losses[1]) / 2, 0.12);

    std::vector<MaskedBatch> batches = evaluation_batches(held_out, 1000);
    MlmScore score = unigram.evaluate(batches, mask_id);
    EXPECT_GE(score.scored, 1000);
    EXPECT_LT(score.scored, 1150);
    // Half of the difference between the two, 2, is the standard deviation of a position, so 2 √(1/1000) =
    // 0.063 is about the standard error.
    EXPECT_NEAR(score.loss, whole, 4 * 0.063);
    std::vector<int64_t> in_tenth(10), drawn;
    for (const MaskedBatch& batch : batches)
      for (int64_t sequence : batch.tokens.sequences) {
        ++in_tenth[sequence * 10 / lines];
        drawn.push_back(sequence);
      }
    EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
    EXPECT_EQ(std::adjacent_find(drawn.begin(), drawn.end()), drawn.end());
    for (int64_t count : in_tenth)
      EXPECT_NEAR(static_cast<double>(count), static_cast<double>(drawn.size()) / 10, 1);
    EXPECT_EQ(coverage(batches, held_out),
              fmt::format("{} positions in {} of 8000 sequences", score.scored, drawn.size()));
    std::vector<MaskedBatch> again = evaluation_batches(held_out, 1000);
    ASSERT_EQ(again.size(), batches.size());
    EXPECT_EQ(again.back().tokens.sequences, batches.back().tokens.sequences);
    EXPECT_EQ(again.back().labels.to_vector<int32_t>(), batches.back().labels.to_vector<int32_t>());
  }
}

// Lines 0, 2 and 3 have three words, 1 and 4 two, 5 is alone. Each shows the next one of its length, the last
// the first.
TEST(MlmEvaluation, TheControlHasAnotherLinesWords) {
  TokenizedLines lines = lines_of({{5, 6, 7}, {8, 9}, {10, 11, 5}, {9, 8, 7}, {6, 11}, {7, 7, 7, 7}});
  std::vector<MaskedBatch> batches{
      // Line 3 with its second word hidden, and its third scored but shown; line 0 with its first hidden.
      batch_by_hand({{2, 9, 4, 7, 3}, {2, 4, 6, 7, 3}}, {3, 0}, {2, 3, 6}, {8, 7, 5}),
      // Line 5 has no partner; line 1 has both words hidden; line 4 has one shown that isn't scored.
      batch_by_hand({{2, 4, 7, 7, 7, 3}, {2, 4, 4, 3}, {2, 6, 4, 3}}, {5, 1, 4}, {1, 7, 8, 12},
                    {7, 8, 9, 11}),
      // Nothing is left of these: no partner, and nothing hidden.
      batch_by_hand({{2, 4, 7, 7, 7, 3}}, {5}, {1}, {7}), batch_by_hand({{2, 8, 9, 3}}, {1}, {1}, {8})};
  std::vector<std::vector<int32_t>> before;
  for (const MaskedBatch& batch : batches) before.push_back(batch.tokens.ids.to_vector<int32_t>());
  std::vector<MaskedBatch> control = with_foreign_context(batches, lines, mask_id);
  ASSERT_EQ(control.size(), 2u);
  EXPECT_EQ(control[0].tokens.ids.to_vector<int32_t>(),
            (std::vector<int32_t>{2, 5, 4, 7, 3, /**/ 2, 4, 11, 5, 3}));
  EXPECT_EQ(control[0].scored_rows.to_vector<int64_t>(), (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(control[0].labels.to_vector<int32_t>(), (std::vector<int32_t>{8, 5}));
  EXPECT_EQ(control[0].tokens.sequences, (std::vector<int64_t>{3, 0}));
  EXPECT_EQ(control[1].tokens.ids.to_vector<int32_t>(),
            (std::vector<int32_t>{2, 4, 7, 7, 7, 3, /**/ 2, 4, 4, 3, /**/ 2, 8, 4, 3}));
  EXPECT_EQ(control[1].scored_rows.to_vector<int64_t>(), (std::vector<int64_t>{7, 8, 12}));
  EXPECT_EQ(control[1].labels.to_vector<int32_t>(), (std::vector<int32_t>{8, 9, 11}));
  for (size_t b = 0; b < batches.size(); b++)  // the batches given stay as they were
    EXPECT_EQ(batches[b].tokens.ids.to_vector<int32_t>(), before[b]);
}

}  // namespace
}  // namespace bertie
