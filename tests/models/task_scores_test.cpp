#include "bertie/models/task_scores.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/message_of.h"

namespace bertie {
namespace {

Array logits_of(std::vector<float> values, int64_t labels) {
  auto rows = static_cast<int64_t>(values.size()) / labels;
  return Array::from(values, {rows, labels});
}

void expect_scores(const TaskScores& scores, const TaskScores& expected) {
  ASSERT_EQ(scores.size(), expected.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_EQ(scores[i].first, expected[i].first);
    EXPECT_NEAR(scores[i].second, expected[i].second, 1e-12) << scores[i].first;
  }
}

TEST(TaskScores, ProbabilitiesOfLabels) {
  Array logits = logits_of({0, 0, 0, std::log(2.0F), std::log(3.0F), std::log(5.0F)}, 3);
  std::vector<double> one = label_probabilities(logits, 1, false);
  EXPECT_NEAR(one[0], 0.2, 1e-7);
  EXPECT_NEAR(one[1], 0.3, 1e-7);
  EXPECT_NEAR(one[2], 0.5, 1e-7);
  std::vector<double> several = label_probabilities(logits, 1, true);
  EXPECT_NEAR(several[0], 2.0 / 3, 1e-7);
  EXPECT_NEAR(several[1], 3.0 / 4, 1e-7);
  EXPECT_NEAR(several[2], 5.0 / 6, 1e-7);
  EXPECT_EQ(label_probabilities(logits_of({800, -800}, 2), 0, false), (std::vector<double>{1, 0}));
  EXPECT_EQ(label_probabilities(logits_of({800, -800}, 2), 0, true), (std::vector<double>{1, 0}));
}

TEST(TaskScores, TheBestLabelAndThoseOfMoreThanOneHalf) {
  Array logits = logits_of({1, 3, 3, 0, -1, 1e-30F, -2, -2, -2}, 3);
  EXPECT_EQ(best_label(logits, 0), 1);  // of equal ones the first
  EXPECT_EQ(best_label(logits, 1), 2);
  EXPECT_EQ(best_label(logits, 2), 0);
  EXPECT_EQ(likely_labels(logits, 0), (std::vector<bool>{true, true, true}));
  EXPECT_EQ(likely_labels(logits, 1), (std::vector<bool>{false, false, true}));  // at 0 it is one half
  EXPECT_EQ(likely_labels(logits, 2), (std::vector<bool>{false, false, false}));
}

TEST(TaskScores, OfTwoClasses) {
  // predicted 1 1 0 0 1, true 1 0 0 1 1: of label 1 two are right, of three predicted and three true
  Array logits = logits_of({0, 1, 0, 1, 1, 0, 1, 0, 0, 1}, 2);
  ConfusionMatrix matrix = confusion(logits, Array::from(std::vector<int32_t>{1, 0, 0, 1, 1}));
  EXPECT_EQ(matrix.count(0, 0), 1);
  EXPECT_EQ(matrix.count(0, 1), 1);
  EXPECT_EQ(matrix.count(1, 0), 1);
  EXPECT_EQ(matrix.count(1, 1), 2);
  // (2 · 1 − 1 · 1) / √(3 · 3 · 2 · 2)
  expect_scores(class_scores(matrix),
                {{"accuracy", 0.6}, {"f1", 2.0 / 3}, {"matthews_correlation", 1.0 / 6}});
}

TEST(TaskScores, OfMoreClassesF1IsTheMeanOfTheirs) {
  // predicted 0 1 2 2, true 0 1 2 1: F1 of 1, 2 / 3 and 2 / 3. Gorodkin: c = 3, s = 4, Σ p t = 1 + 2 + 2,
  // Σ p² = 6, Σ t² = 6, so (3 · 4 − 5) / √((16 − 6) (16 − 6))
  Array logits = logits_of({1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1}, 3);
  expect_scores(class_scores(confusion(logits, Array::from(std::vector<int32_t>{0, 1, 2, 1}))),
                {{"accuracy", 0.75}, {"macro_f1", 7.0 / 9}, {"matthews_correlation", 0.7}});
}

TEST(TaskScores, OfSeveralLabels) {
  // Label 0: predicted and true in row 0, predicted in row 1. Label 1: true in row 0 and predicted in none.
  Array logits = logits_of({1, -1, 1, 0, -1, -1}, 2);
  Array labels = Array::from(std::vector<float>{1, 1, 0, 0, 0, 0}, {3, 2});
  expect_scores(several_scores(logits, labels),
                {{"f1", 2.0 / 4}, {"macro_f1", (2.0 / 3 + 0) / 2}, {"accuracy", 1.0 / 3}});
}

TEST(TaskScores, OfNumbers) {
  // Squares of 1, 1 and 4; means 2 and 4; deviations −1 0 1 and −2 −1 3
  Array logits = logits_of({1, 2, 3}, 1);
  expect_scores(number_scores(logits, Array::from(std::vector<float>{2, 3, 7})),
                {{"pearson", 5 / std::sqrt(2.0 * 14)}, {"spearman", 1}, {"mean_squared_error", 18.0 / 3}});
  expect_scores(
      number_scores(logits, Array::from(std::vector<float>{7, 2, 3})),
      {{"pearson", -4 / std::sqrt(2.0 * 14)}, {"spearman", -0.5}, {"mean_squared_error", 36.0 / 3}});
}

// A sentence of three words, of which the second has no token, and one of one: their rows are 1, 3 and 6.
struct Tagged {
  Tagged() {
    for (auto [words, sentence] : {std::pair{5, 0}, std::pair{3, 1}}) {
      std::vector<int32_t> ids(words, 7);
      windows.sequences.add(ids, words, sentence);
    }
    windows.words = {{0, 1}, {-1, -1}, {0, 3}, {1, 6}};
    windows.word_offsets = {0, 3, 4};
    windows.words_without_token = 1;
  }
  // Those of the words' rows; elsewhere label 2 is the surest.
  static Array logits(std::vector<int> labels) {
    std::vector<float> values;
    for (int row = 0, word = 0; row < 8; ++row) {
      bool is_word = row == 1 || row == 3 || row == 6;
      int best = is_word ? labels[word++] : 2;
      for (int label = 0; label < 3; ++label) values.push_back(label == best ? std::log(2.0F) : 0);
    }
    return logits_of(values, 3);
  }
  TagWindows windows;
};

TEST(TaskScores, TagsOfWords) {
  Tagged data;
  LabelSet labels({"B-PER", "I-PER", "O"});
  Array logits = Tagged::logits({0, 1, 2});
  std::vector<PredictedTag> tags = predicted_tags(data.windows, 0, logits);
  ASSERT_EQ(tags.size(), 3u);
  EXPECT_EQ(tags[0].label, 0);
  EXPECT_NEAR(tags[0].probability, 0.5, 1e-7);
  EXPECT_EQ(tags[1].label, -1);  // no token: O for sure
  EXPECT_EQ(tags[1].probability, 1);
  EXPECT_EQ(tags[2].label, 1);
  EXPECT_EQ(tag_names(tags, labels), (std::vector<std::string>{"B-PER", "O", "I-PER"}));
  EXPECT_EQ(tag_names(predicted_tags(data.windows, 1, logits), labels), std::vector<std::string>{"O"});
  EXPECT_NE(message_of([&] { predicted_tags(data.windows, 2, logits); }), "no error");
}

TEST(TaskScores, OfTags) {
  Tagged data;
  std::vector<TaggedSentence> sentences{{{"anna", "\u200b", "bob"}, {"B-PER", "O", "B-PER"}},
                                        {{"clara"}, {"B-PER"}}};
  // An I- where there is nothing to go on begins an entity: two of three are found.
  expect_scores(
      tag_scores(sentences, data.windows, Tagged::logits({0, 1, 2}), LabelSet({"B-PER", "I-PER", "O"})),
      {{"f1", 0.8}, {"precision", 1}, {"recall", 2.0 / 3}, {"accuracy", 2.0 / 4}});
  // Where the word without token has a tag, what is predicted for it is wrong.
  sentences[0].tags[1] = "I-PER";
  expect_scores(
      tag_scores(sentences, data.windows, Tagged::logits({0, 0, 0}), LabelSet({"B-PER", "I-PER", "O"})),
      {{"f1", 2.0 * 2 / 6}, {"precision", 2.0 / 3}, {"recall", 2.0 / 3}, {"accuracy", 3.0 / 4}});
}

TEST(TaskScores, OfTagsOfNoSchemeAreThoseOfClasses) {
  Tagged data;
  std::vector<TaggedSentence> sentences{{{"anna", "\u200b", "bob"}, {"NOUN", "VERB", "NOUN"}},
                                        {{"clara"}, {"ADJ"}}};
  // Of the words with a token two of three are right: F1 of ADJ 0, of NOUN 4 / 5.
  expect_scores(
      tag_scores(sentences, data.windows, Tagged::logits({1, 1, 1}), LabelSet({"ADJ", "NOUN", "VERB"})),
      {{"accuracy", 2.0 / 4}, {"macro_f1", 0.4}});
}

// Question 0 has two windows of the context "alpha beta gamma", question 1 one of "alpha beta"; of each
// window the first three tokens are [CLS], the question and [SEP], the last one is [SEP].
struct Answered {
  Answered() {
    auto context = std::make_shared<std::string>("alpha beta gamma");
    questions.push_back({"0", "?", context, {{"beta gamma", 6, 16}}});
    questions.push_back({"1", "?", std::make_shared<std::string>("alpha beta"), {{"alpha", 0, 5}}});
    std::vector<std::vector<TextSpan>> spans{{{0, 5}, {6, 10}}, {{6, 10}, {11, 16}}, {{0, 5}, {6, 10}}};
    for (size_t w = 0; w < spans.size(); ++w) {
      windows.sequences.add(std::vector<int32_t>(6, 7), 3, w / 2);
      windows.spans.insert(windows.spans.end(), spans[w].begin(), spans[w].end());
      windows.span_offsets.push_back(static_cast<int64_t>(windows.spans.size()));
    }
  }
  // Start and end logits 0, but of these {token, start, end}.
  static Array logits(const std::vector<std::array<float, 3>>& set) {
    std::vector<float> values(2 * 18);
    for (auto [token, start, end] : set) {
      values[2 * static_cast<size_t>(token)] = start;
      values[2 * static_cast<size_t>(token) + 1] = end;
    }
    return logits_of(values, 2);
  }
  std::vector<Question> questions;
  AnswerWindows windows;
};

TEST(TaskScores, AnswersAcrossWindows) {
  Answered data;
  // Of question 0 the first window would say "alpha", the second, surer, "beta gamma".
  Array logits = Answered::logits({{3, 4, 4}, {9, 5, 0}, {10, 0, 5}, {16, 3, 3}});
  FoundAnswers first = predicted_answers(data.windows, 0, logits, {});
  EXPECT_EQ(first.chosen.place, (TextSpan{6, 16}));
  EXPECT_EQ(first.chosen.score(), 10);
  FoundAnswers second = predicted_answers(data.windows, 1, logits, {});
  EXPECT_EQ(second.chosen.place, (TextSpan{6, 10}));
  EXPECT_EQ(second.chosen.score(), 6);
  // One of two is right, and of the other no word is common.
  expect_scores(answer_scores(data.questions, data.windows, logits, {}), {{"f1", 50}, {"exact_match", 50}});
}

TEST(TaskScores, AnswersThatMayBeNull) {
  Answered data;
  data.questions[1].answers.clear();  // "alpha beta" has none
  AnswerOptions options;
  options.null_answers = true;
  // [CLS] of question 0's windows: 1 and 12, of which the least counts. Its answer has 10. Question 1: [CLS]
  // 8, its answer 6.
  Array logits = Answered::logits({{0, 1, 0}, {6, 12, 0}, {9, 5, 0}, {10, 0, 5}, {12, 4, 4}, {16, 3, 3}});
  EXPECT_EQ(predicted_answers(data.windows, 0, logits, options).null_difference, -9);
  FoundAnswers second = predicted_answers(data.windows, 1, logits, options);
  EXPECT_TRUE(second.chosen.is_null());
  EXPECT_EQ(second.null_difference, 2);
  TaskScores scores = answer_scores(data.questions, data.windows, logits, options);
  expect_scores(scores, {{"f1", 100},
                         {"exact_match", 100},
                         {"best_f1", 100},
                         {"best_f1_threshold", -9},
                         {"best_exact_match", 100},
                         {"best_exact_match_threshold", -9}});
  options.null_threshold = 3;  // then question 1 is answered, too
  EXPECT_EQ(answer_scores(data.questions, data.windows, logits, options)[0].second, 50);
}

TEST(TaskScores, Refusals) {
  Array logits = logits_of({1, 2, 3, 4}, 2);
  EXPECT_EQ(message_of([&] { best_label(logits, 2); }), "[predict] there are 2 rows of logits, asked for 2");
  EXPECT_NE(message_of([&] { best_label(logits, -1); }), "no error");
  EXPECT_EQ(message_of([&] { best_label(Array(), 0); }),
            "[predict] logits must be f32 of two axes, got f32 []");
  EXPECT_EQ(message_of([&] { best_label(logits.cast(DType::f64), 0); }),
            "[predict] logits must be f32 of two axes, got f64 [2, 2]");
  EXPECT_EQ(message_of([&] { confusion(logits, Array::from(std::vector<int32_t>{0})); }),
            "[score] there must be a label for each of 2 rows of logits, got [1]");
  EXPECT_EQ(message_of([&] {
              several_scores(logits, Array::from(std::vector<float>{0, 1}));
            }),
            "[score] there must be a number for each of the logits [2, 2], got [2]");
}

}  // namespace
}  // namespace bertie
