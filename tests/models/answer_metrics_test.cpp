// By hand; tests/models/metrics_reference_test.cpp compares with the official scripts of SQuAD.
#include "bertie/models/answer_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(AnswerMetrics, AnswersAreNormalized) {
  EXPECT_EQ(normalize_answer("  The U.S.\tArmy's\u00a0 a-team, an_end "), "us armys ateam anend");
  EXPECT_EQ(normalize_answer("the theory of a\u2019s"), "theory of \u2019s");
  EXPECT_EQ(normalize_answer("a the AN!"), "");
  EXPECT_EQ(normalize_answer("ΟΔΟΣ Σ İ"), "οδος σ i\u0307");
  EXPECT_EQ(normalize_answer("a\xff\xff"
                             "b"),
            "\ufffd\ufffdb");  // the "a" stands by itself
}

TEST(AnswerMetrics, WordsThatAreCommonCount) {
  std::vector<AnsweredQuestion> one{{.predicted = "red red car", .truths = {"blue", "The red car, red bus"}}};
  AnswerScores scores = squad1_scores(one);
  EXPECT_EQ(scores.exact_match, 0);
  EXPECT_DOUBLE_EQ(scores.f1, 100 * 2 * 3.0 / (3 + 4));
}

// The two versions differ where no word is left.
TEST(AnswerMetrics, OfEmptyAnswers) {
  std::vector<AnsweredQuestion> empty{{.predicted = "", .truths = {"the"}}};
  EXPECT_EQ(squad1_scores(empty).exact_match, 100);
  EXPECT_EQ(squad1_scores(empty).f1, 0);
  EXPECT_EQ(squad2_scores(empty, 1).with_answer.f1, 100);
  empty[0].truths.emplace_back("cat");  // now "the" is no answer
  EXPECT_EQ(squad2_scores(empty, 1).all.f1, 0);
  EXPECT_EQ(squad2_scores(empty, 1).all.exact_match, 0);
}

TEST(AnswerMetrics, AThresholdLeavesQuestionsUnanswered) {
  std::vector<AnsweredQuestion> questions{{.predicted = "cat", .truths = {"cat"}, .null_score = -2},
                                          {.predicted = "dog", .truths = {}, .null_score = 3},
                                          {.predicted = "dog", .truths = {"dog"}, .null_score = 5},
                                          {.predicted = "", .truths = {}, .null_score = 7}};
  Squad2Scores scores = squad2_scores(questions, 3);
  EXPECT_EQ(scores.with_answer.exact_match, 50);
  EXPECT_EQ(scores.without_answer.exact_match, 50);  // 3 isn't over 3
  EXPECT_EQ(squad2_scores(questions, 2.5).all.exact_match, 75);
  EXPECT_EQ(scores.best_exact_match, 75);  // two right without any answer, one more up to −2
  EXPECT_EQ(scores.best_exact_match_threshold, -2);
}

TEST(AnswerMetrics, NothingIsKnownOfNoQuestion) {
  EXPECT_TRUE(std::isnan(squad1_scores({}).f1));
  EXPECT_TRUE(std::isnan(squad2_scores({}, 1).best_f1));
  EXPECT_EQ(squad2_scores({}, 1).all.questions, 0);
}

TEST(AnswerMetrics, RefuseWhatHasNoScore) {
  std::vector<AnsweredQuestion> questions{{.predicted = "cat", .truths = {}}};
  EXPECT_EQ(message_of([&] { squad1_scores(questions); }),
            "[squad1_scores] every question must have a true answer");
  questions[0].null_score = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message_of([&] { squad2_scores(questions, 1); }),
            "[squad2_scores] a null_score must be a number");
}

}  // namespace
}  // namespace bertie
