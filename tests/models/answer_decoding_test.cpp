// By hand; tests/models/metrics_reference_test.cpp compares with transformers.
#include "bertie/models/answer_decoding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/message_of.h"

namespace bertie {
namespace {

struct Window {
  std::vector<float> start_logits, end_logits;
  int64_t context_begin = 0;
  std::vector<TextSpan> spans;
};

FoundAnswers answers_of(const std::vector<Window>& windows, AnswerOptions options = {}) {
  std::vector<AnswerWindow> views;
  for (const Window& window : windows)
    views.push_back({window.start_logits, window.end_logits, window.context_begin, window.spans});
  return best_answers(views, options);
}

const Window first{{1, 9, 0, 5, 0}, {1, 9, 0, 2, 4}, 2, {{0, 3}, {4, 6}, {6, 9}}};
const Window second{{2, 6, 0, 9}, {1, 0, 5, 9}, 1, {{4, 6}, {6, 9}}};  // ends with [SEP]

TEST(AnswerDecoding, TheBestSpanOfAllWindows) {
  FoundAnswers answers = answers_of({first, second});
  EXPECT_EQ(answers.chosen.place, (TextSpan{4, 9}));
  EXPECT_EQ(answers.chosen.score(), 11);  // in the second window; 9 in the first
  EXPECT_EQ(answers.null_difference, 0);
  // Each span of tokens of the context that doesn't run backwards: 6 of the first window, 3 of the second.
  EXPECT_EQ(answers.kept.size(), 9u);
  double sum = 0;
  for (const AnswerSpan& answer : answers.kept) sum += std::exp(answer.score() - 11.0);
  EXPECT_NEAR(answers.chosen.probability, 1 / sum, 1e-15);
  EXPECT_EQ(answers_of({first}).chosen.place, (TextSpan{4, 9}));
  EXPECT_EQ(answers_of({first}, {.max_answer_length = 1}).chosen.place, (TextSpan{4, 6}));
}

TEST(AnswerDecoding, OfEqualOnesTheOrderDecides) {
  Window equal{{0, 1, 1, 1}, {0, 1, 1, 1}, 1, {{0, 1}, {1, 2}, {2, 3}}};
  EXPECT_EQ(answers_of({equal}).chosen.place, (TextSpan{2, 3}));  // the later token
  Window earlier{{0, 2}, {0, 0}, 1, {{0, 1}}};
  EXPECT_EQ(answers_of({equal, earlier}).chosen.place, (TextSpan{2, 3}));  // the earlier window
  EXPECT_EQ(answers_of({earlier, equal}).chosen.place, (TextSpan{0, 1}));
  EXPECT_EQ(answers_of({equal}, {.n_best = 1}).kept.size(), 1u);
}

TEST(AnswerDecoding, ThereMayBeNoAnswer) {
  AnswerOptions options{.null_answers = true};
  FoundAnswers answers = answers_of({first, second}, options);  // which say 2 and 3
  EXPECT_EQ(answers.null_difference, 2 - 11);
  EXPECT_FALSE(answers.chosen.is_null());
  options.null_threshold = -9;  // must be passed
  EXPECT_FALSE(answers_of({first, second}, options).chosen.is_null());
  options.null_threshold = -9.5F;
  FoundAnswers unanswered = answers_of({first, second}, options);
  EXPECT_TRUE(unanswered.chosen.is_null());
  EXPECT_EQ(unanswered.chosen.score(), 2);
  EXPECT_GT(unanswered.chosen.probability, 0);

  Window sure{{20, 9, 0}, {1, 9, 0}, 1, {{0, 3}}};
  options = {.n_best = 2, .null_answers = true, .null_threshold = 100};
  answers = answers_of({sure}, options);
  EXPECT_EQ(answers.null_difference, 3);
  EXPECT_EQ(answers.kept.size(), 2u);
  EXPECT_TRUE(answers.kept[0].is_null());
  EXPECT_FALSE(answers.chosen.is_null());
}

TEST(AnswerDecoding, AWindowMayHoldNothingOfTheContext) {
  Window empty{{1, 2}, {1, 2}, 2, {}};
  EXPECT_TRUE(answers_of({empty}).kept.empty());
  EXPECT_TRUE(answers_of({empty}).chosen.is_null());
  FoundAnswers answers = answers_of({empty}, {.null_answers = true, .null_threshold = 1e30F});
  EXPECT_TRUE(answers.chosen.is_null());
  EXPECT_EQ(answers.chosen.probability, 1);
  EXPECT_EQ(answers.null_difference, std::numeric_limits<float>::infinity());
}

TEST(AnswerDecoding, RefusesWhatIsNoWindow) {
  auto message = [](const std::vector<Window>& windows, AnswerOptions options = {}) {
    return message_of([&] { answers_of(windows, options); });
  };
  EXPECT_EQ(message({}), "[best_answers] there must be a window");
  EXPECT_EQ(message({{{}, {}, 0, {}}}),
            "[best_answers] a window must have tokens, and two logits for each, got 0 and 0");
  EXPECT_EQ(message({{{1}, {1, 2}, 1, {}}}),
            "[best_answers] a window must have tokens, and two logits for each, got 1 and 2");
  EXPECT_EQ(message({{{1, 1}, {1, 1}, 1, {{0, 1}, {1, 2}}}}),
            "[best_answers] the context must lie among the 2 tokens, got 2 from 1");
  EXPECT_NE(message({{{1, 1}, {1, 1}, 3, {}}}), "no error");
  EXPECT_NE(message({{{1, 1}, {1, 1}, -1, {{0, 1}}}}), "no error");
  EXPECT_EQ(message({{{1}, {std::nanf("")}, 1, {}}}),
            "[best_answers] a logit must be a number of at most 1e38, got nan");
  EXPECT_EQ(message({{{-std::numeric_limits<float>::infinity()}, {1}, 1, {}}}),
            "[best_answers] a logit must be a number of at most 1e38, got -inf");
  EXPECT_EQ(
      message({{{1, 1}, {1, 1}, 0, {{3, 5}, {2, 6}}}}),
      "[best_answers] tokens must be in the order of the context and hold some of it, got [2, 6) behind "
      "[3, 5)");
  EXPECT_NE(message({{{1}, {1}, 0, {{3, 3}}}}), "no error");
  EXPECT_NE(message({{{1}, {1}, 0, {{-1, 3}}}}), "no error");
  EXPECT_EQ(message({first}, {.n_best = 0}),
            "[best_answers] n_best and max_answer_length must be at least 1, got 0 and 30");
  EXPECT_NE(message({first}, {.max_answer_length = 0}), "no error");
}

}  // namespace
}  // namespace bertie
