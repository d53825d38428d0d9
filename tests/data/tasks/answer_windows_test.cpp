#include "bertie/data/tasks/answer_windows.h"

#include <gtest/gtest.h>

#include "tests/data/tasks/small_tokenizer.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Ids = std::vector<int32_t>;

Question ask(const std::string& question, const std::string& context, std::vector<Answer> answers = {}) {
  return {"id", question, std::make_shared<const std::string>(context), std::move(answers)};
}

AnswerWindows encode(const Question& question, int64_t max_length, int64_t stride) {
  return encode_answered(small_tokenizer(), std::vector{question}, {max_length, stride});
}

Ids labels_of(const AnswerWindows& windows) { return windows.sequences.labels.to_vector<int32_t>(); }

TEST(AnswerWindows, ShareTheirStride) {
  // Room for 4 of the context's 7 tokens, 2 of them shared.
  AnswerWindows windows = encode(ask("c", "a b a b a b .", {{"b a", 6, 9}}), 8, 2);
  EXPECT_EQ(windows.sequences.ids,
            (Ids{2, 7, 3, 5, 6, 5, 6, 3, 2, 7, 3, 5, 6, 5, 6, 3, 2, 7, 3, 5, 6, 10, 3}));
  EXPECT_EQ(windows.sequences.offsets, (std::vector<int64_t>{0, 8, 16, 23}));
  EXPECT_EQ(windows.sequences.second_begins, (std::vector<int64_t>{3, 3, 3}));
  EXPECT_EQ(windows.of(2)[0], (TextSpan{8, 9}));
  EXPECT_EQ(windows.of(2).size(), 3u);
  // The second one alone holds it, at its tokens 4 and 5.
  EXPECT_EQ(labels_of(windows), (Ids{0, 0, 4, 5, 0, 0}));
}

TEST(AnswerWindows, OfAShortContextAreOne) {
  EXPECT_EQ(encode(ask("c", "a b a b"), 8, 3).sequences.size(), 1);
  EXPECT_EQ(encode(ask("c", "a b a b a"), 8, 3).sequences.size(), 2);
  AnswerWindows empty = encode(ask("c", ""), 8, 3);
  EXPECT_EQ(empty.sequences.ids, (Ids{2, 7, 3, 3}));
  EXPECT_EQ(empty.of(0).size(), 0u);
}

TEST(AnswerWindows, FindAnswersAtTheTokensThatHoldThem) {
  auto labels = [](const std::string& context, int64_t begin, int64_t end) {
    return labels_of(encode(ask("c", context, {{context.substr(begin, end - begin), begin, end}}), 16, 3));
  };
  EXPECT_EQ(labels("é ade.", 3, 5), (Ids{4, 5}));  // bytes; a part of a word
  EXPECT_EQ(labels("é ade.", 6, 7), (Ids{7, 7}));  // the last token
  EXPECT_EQ(labels("a b", 0, 3), (Ids{3, 4}));
  EXPECT_EQ(labels("a b ", 2, 4), (Ids{0, 0}));  // no token has the space
}

TEST(AnswerWindows, LeaveOutQuestionsWhoseAnswersAreNowhere) {
  std::vector<Question> questions{ask("c", "a b", {{"x"}}), ask("c", "a b", {{"x"}, {"b", 2, 3}}),
                                  ask("c", "a b")};
  AnswerWindows windows = encode_answered(small_tokenizer(), questions, {});
  EXPECT_EQ(windows.sequences.examples, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(windows.left_out, 1);
  EXPECT_EQ(labels_of(windows), (Ids{4, 4, 0, 0}));
  windows = encode_questions(small_tokenizer(), questions, {});
  EXPECT_EQ(windows.sequences.examples, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_FALSE(windows.sequences.labels);
}

TEST(AnswerWindows, CutAQuestionThatLeavesNoRoom) {
  AnswerWindows windows = encode(ask("a b c a b c", "a b c a b c"), 10, 2);  // the question may have 4
  EXPECT_EQ(Ids(windows.sequences[0].begin(), windows.sequences[0].end()),
            (Ids{2, 5, 6, 7, 5, 3, 5, 6, 7, 3}));
  EXPECT_EQ(windows.sequences.size(), 4);
  EXPECT_EQ(windows.cut_questions, 1);
  EXPECT_EQ(windows.sequences.cut_off, 2);
  EXPECT_EQ(encode(ask("a b c a b c", "a"), 10, 2).cut_questions, 0);  // where both fit
  EXPECT_EQ(message_of([] { encode(ask("a", "a"), 6, 2); }),
            "[task] max_length must be at least 5 more than the stride, got 6 and 2");
  EXPECT_EQ(message_of([] { encode(ask("a", "a"), 6, -1); }),
            "[task] the stride must not be negative, got -1");
  EXPECT_EQ(encode(ask("a b", "a b"), 5, 0).sequences.size(), 2);
}

TEST(AnswerWindows, AreTheSameInParts) {
  std::vector<Question> questions;
  for (size_t i = 0; i < 500; ++i) {
    std::string context;
    for (size_t word = 0; word < i % 40; ++word) context += "a ";
    questions.push_back(ask("b", context, i % 3 > 0 ? std::vector<Answer>{} : std::vector<Answer>{{"x"}}));
  }
  AnswerWindows all = encode_questions(small_tokenizer(), questions, {16, 4});
  int64_t sequence = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    AnswerWindows one = encode_questions(small_tokenizer(), std::span(questions).subspan(i, 1), {16, 4});
    for (int64_t k = 0; k < one.sequences.size(); ++k, ++sequence) {
      ASSERT_EQ(all.sequences.examples[sequence], static_cast<int64_t>(i));
      ASSERT_TRUE(std::ranges::equal(all.sequences[sequence], one.sequences[k]));
      ASSERT_TRUE(std::ranges::equal(all.of(sequence), one.of(k)));
    }
  }
  EXPECT_EQ(sequence, all.sequences.size());
  EXPECT_EQ(encode_answered(small_tokenizer(), questions, {16, 4}).left_out, 167);
}

}  // namespace
}  // namespace bertie
