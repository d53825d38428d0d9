// The heads' losses by their definitions, on logits and labels that need no BERT: values, ignored labels, and
// that the losses of a step's parts add up to the step's where they are given its denominators.
#include <gtest/gtest.h>

#include <cmath>

#include "bertie/models/bert_heads.h"
#include "tests/models/small_config.h"

namespace bertie {
namespace {

constexpr int64_t ignored = -100;

Array logits_of(const Shape& shape, uint64_t seed) { return normal(shape, 0, 2, seed, 0, DType::f64); }

// −log of the softmax at `label`.
double cross_entropy_of(const double* row, int64_t count, int64_t label) {
  double sum = 0;
  for (int64_t c = 0; c < count; ++c) sum += std::exp(row[c]);
  return std::log(sum) - row[label];
}

// Mean over the labels that aren't ignored; and their number.
std::pair<double, double> mean_cross_entropy(const Array& logits, const std::vector<int64_t>& labels) {
  int64_t classes = logits.shape()[1];
  double sum = 0, count = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == ignored) continue;
    sum += cross_entropy_of(logits.data<double>() + static_cast<int64_t>(i) * classes, classes, labels[i]);
    count += 1;
  }
  return {sum / count, count};
}

// `loss(begin, end, denominator)` is that of a part of `rows` rows.
template <class Loss>
void expect_loss(Loss loss, int64_t rows, double expected, double denominator) {
  EXPECT_NEAR(loss(0, rows, 0), expected, 1e-12);
  EXPECT_NEAR(loss(0, rows, denominator), expected, 1e-12);
  EXPECT_NEAR(loss(0, rows, 2 * denominator), expected / 2, 1e-12);
  for (int64_t cut = 1; cut < rows; ++cut)
    EXPECT_NEAR(loss(0, cut, denominator) + loss(cut, rows, denominator), expected, 1e-12) << cut;
}

// For the heads whose loss is the mean cross-entropy of one label per row.
template <class Model>
void check_cross_entropy(const Model& model, const std::vector<int64_t>& labels, int64_t classes) {
  auto rows = static_cast<int64_t>(labels.size());
  Array logits = logits_of({rows, classes}, 1);
  auto [expected, count] = mean_cross_entropy(logits, labels);
  expect_loss(
      [&](int64_t begin, int64_t end, double denominator) {
        Array part = Array::from(labels).rows(begin, end);
        return model.loss(logits.rows(begin, end), part, denominator).item();
      },
      rows, expected, count);
}

TEST(HeadLosses, AreMeansOverTheLabelsThatCount) {
  BertConfig config = small_config(12);
  check_cross_entropy(BertForMaskedLM(config, Initializer::unset(DType::f64)), {3, 0, 11, 5, 5}, 12);
  check_cross_entropy(BertForNextSentencePrediction(config, Initializer::unset(DType::f64)), {1, 0, 1, 1}, 2);
  check_cross_entropy(BertForMultipleChoice(config, Initializer::unset(DType::f64)), {2, 0, 1}, 3);
  check_cross_entropy(BertForSequenceClassification(config, Initializer::unset(DType::f64)), {1, 0, 0, 1}, 2);
  config.labels = {"a", "b", "c", "d"};
  check_cross_entropy(BertForTokenClassification(config, Initializer::unset(DType::f64)),
                      {3, 0, ignored, 2, 1, ignored, 0}, 4);
}

TEST(HeadLosses, PreTrainingAddsTwoMeans) {
  BertForPreTraining model(small_config(12), Initializer::unset(DType::f64));
  const std::vector<int64_t> words{3, 0, 11, 5, 5, 7}, follows{0, 1, 1};
  Array word_logits = logits_of({6, 12}, 1), pair_logits = logits_of({3, 2}, 2);
  auto [word_loss, word_count] = mean_cross_entropy(word_logits, words);
  auto [pair_loss, pair_count] = mean_cross_entropy(pair_logits, follows);
  auto loss = [&](int64_t begin, int64_t end, double denominator, double pair_denominator) {
    return model
        .loss({word_logits.rows(2 * begin, 2 * end), pair_logits.rows(begin, end)},
              Array::from(words).rows(2 * begin, 2 * end), Array::from(follows).rows(begin, end), denominator,
              pair_denominator)
        .item();
  };
  EXPECT_NEAR(loss(0, 3, 0, 0), word_loss + pair_loss, 1e-12);
  EXPECT_NEAR(loss(0, 3, 12, 0), word_loss / 2 + pair_loss, 1e-12);
  EXPECT_NEAR(loss(0, 3, 0, 6), word_loss + pair_loss / 2, 1e-12);
  EXPECT_NEAR(loss(0, 1, 6, 3) + loss(1, 3, 6, 3), word_loss + pair_loss, 1e-12);
}

// Sequences of 3, 1, 4 and 2 tokens. Positions: within; behind the end, so ignored; negative, so 0; the last.
TEST(HeadLosses, AnswersAreLookedForWithinTheirSequence) {
  BertForQuestionAnswering model(small_config(12), Initializer::unset(DType::f64));
  const std::vector<int64_t> offsets{0, 3, 4, 8, 10};
  Array starts = logits_of({10}, 1), ends = logits_of({10}, 2);
  const std::vector<int64_t> start_positions{1, 1, -3, 1}, end_positions{2, 0, 3, 2};
  auto mean = [&](const Array& logits, const std::vector<int64_t>& positions) {
    double sum = 0, count = 0;
    for (size_t n = 0; n < positions.size(); ++n) {
      int64_t length = offsets[n + 1] - offsets[n], position = std::max<int64_t>(positions[n], 0);
      if (position >= length) continue;
      sum += cross_entropy_of(logits.data<double>() + offsets[n], length, position);
      count += 1;
    }
    EXPECT_EQ(count, 3);
    return sum / count;
  };
  auto loss = [&](int64_t begin, int64_t end, double denominator) {
    Packing packing{{}};
    for (int64_t n = begin; n <= end; ++n) packing.offsets.push_back(offsets[n] - offsets[begin]);
    return model
        .loss({starts.rows(offsets[begin], offsets[end]), ends.rows(offsets[begin], offsets[end])}, packing,
              Array::from(start_positions).rows(begin, end), Array::from(end_positions).rows(begin, end),
              denominator)
        .item();
  };
  double expected = (mean(starts, start_positions) + mean(ends, end_positions)) / 2;
  EXPECT_NEAR(loss(0, 4, 0), expected, 1e-12);
  EXPECT_NEAR(loss(0, 4, 3), expected, 1e-12);
  EXPECT_NEAR(loss(0, 4, 6), expected / 2, 1e-12);
  for (int64_t cut = 1; cut < 4; ++cut)
    EXPECT_NEAR(loss(0, cut, 3) + loss(cut, 4, 3), expected, 1e-12) << cut;
}

TEST(HeadLosses, SeveralLabelsAndNumbers) {
  BertConfig config = small_config(12);
  config.labels = {"a", "b", "c"};
  Array logits = logits_of({5, 3}, 1), numbers = logits_of({5, 3}, 2);
  std::vector<double> soft;
  for (int i = 0; i < 15; ++i) soft.push_back(i % 4 * 0.25 + (i % 7 == 0 ? 0.25 : 0));
  Array labels = Array::from(soft, {5, 3});
  double entropy = 0, squares = 0;
  for (int i = 0; i < 15; ++i) {
    double sigma = 1 / (1 + std::exp(-logits.item(i)));
    entropy -= (soft[i] * std::log(sigma) + (1 - soft[i]) * std::log(1 - sigma)) / 15;
    squares += std::pow(logits.item(i) - numbers.item(i), 2) / 15;
  }
  for (std::string problem : {"multi_label_classification", "regression"}) {
    config.problem_type = problem;
    BertForSequenceClassification model(config, Initializer::unset(DType::f64));
    const Array& targets = problem == "regression" ? numbers : labels;
    expect_loss(
        [&](int64_t begin, int64_t end, double denominator) {
          return model.loss(logits.rows(begin, end), targets.rows(begin, end), denominator).item();
        },
        5, problem == "regression" ? squares : entropy, 15);
  }
}

}  // namespace
}  // namespace bertie
