#include "bertie/data/tasks/question_reader.h"

#include <gtest/gtest.h>

#include "tests/data/tasks/written_file.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

// A file of one context.
std::string squad(const std::string& context, const std::string& qas) {
  return "{\"version\": \"1.1\", \"data\": [{\"title\": \"t\", \"paragraphs\": [{\"context\": \"" + context +
         "\", \"qas\": [" + qas + "]}]}]}";
}
std::string qa(const std::string& id, const std::string& rest) {
  return "{\"id\": \"" + id + "\", \"question\": \"What?\", " + rest + "}";
}
std::string answers(const std::string& text, int64_t start) {
  return R"("answers": [{"text": ")" + text + R"(", "answer_start": )" + std::to_string(start) + "}]";
}

QuestionData questions_in(const std::string& text, bool for_training = true) {
  return read_questions({WrittenFile("a.json", text).path()}, for_training);
}
std::string question_error(const std::string& text, bool for_training = true) {
  WrittenFile file("a.json", text);
  return file.without_folder(message_of([&] { read_questions({file.path()}, for_training); }));
}

TEST(QuestionReader, ReadsSquad) {
  QuestionData data = questions_in(squad(
      "The tower is old.",
      qa("1",
         R"("answers": [{"text": "tower", "answer_start": 4}, {"text": "The tower", "answer_start": 0}])") +
          "," + qa("2", answers("old.", 13))));
  ASSERT_EQ(data.questions.size(), 2u);
  const Question& first = data.questions[0];
  EXPECT_EQ(first.id, "1");
  EXPECT_EQ(first.question, "What?");
  EXPECT_EQ(*first.context, "The tower is old.");
  ASSERT_EQ(first.answers.size(), 2u);
  EXPECT_EQ(first.answers[0].text, "tower");
  EXPECT_EQ(first.answers[0].begin, 4);
  EXPECT_EQ(first.answers[0].end, 9);
  EXPECT_EQ(first.answers[1].text, "The tower");
  EXPECT_EQ(data.questions[1].answers[0].end, 17);
  EXPECT_EQ(data.questions[1].context, first.context);
  EXPECT_FALSE(data.has_impossible);
  EXPECT_EQ(data.misplaced_answers, 0);
  EXPECT_EQ(questions_in("\xef\xbb\xbf" + squad("a", qa("1", answers("a", 0)))).questions.size(), 1u);
}

TEST(QuestionReader, CountsCodePointsWhereTheFileDoes) {
  // Two, three and four bytes, the last one written as a surrogate pair.
  QuestionData data = questions_in(squad("é€\\ud83d\\ude00 b", qa("1", answers("b", 4))));
  EXPECT_EQ(data.questions[0].answers[0].begin, 2 + 3 + 4 + 1);
  EXPECT_EQ(data.questions[0].answers[0].end, 11);
}

TEST(QuestionReader, ReadsQuestionsWithoutAnAnswer) {
  QuestionData data =
      questions_in(squad("a", qa("1", R"("is_impossible": true, "answers": [], "plausible_answers": [])") +
                                  "," + qa("2", "\"is_impossible\": true") + "," +
                                  qa("3", "\"is_impossible\": false, " + answers("a", 0))));
  EXPECT_TRUE(data.has_impossible);
  EXPECT_TRUE(data.questions[0].answers.empty() && data.questions[1].answers.empty());
  EXPECT_EQ(data.questions[2].answers.size(), 1u);
  EXPECT_EQ(question_error(squad("a", qa("1", "\"is_impossible\": true, " + answers("a", 0)))),
            "[questions] a.json, question 1: it is impossible and has answers");
  EXPECT_FALSE(questions_in(squad("a", qa("1", "\"x\": 1")), false).has_impossible);
}

TEST(QuestionReader, CountsAnswersThatAreNotInPlace) {
  QuestionData data = questions_in(squad(
      "a b a", qa("1", answers("a", 0)) + "," + qa("2", answers("b", 0)) + "," + qa("3", answers("c", 2)) +
                   "," + qa("4", answers("a", 5)) + "," + qa("5", answers("a", -1)) + "," +
                   qa("6", answers("", 0)) + "," + qa("7", answers("a b a b", 0))));
  EXPECT_EQ(data.misplaced_answers, 6);
  EXPECT_EQ(data.first_misplaced, "2");
  EXPECT_FALSE(data.questions[1].answers[0].in_place());
  EXPECT_EQ(data.questions[1].answers[0].text, "b");
  EXPECT_EQ(data.questions[6].answers[0].end, -1);
}

TEST(QuestionReader, NamesWhatIsWrong) {
  EXPECT_EQ(question_error("{"), "[questions] a.json must be valid JSON, its byte 2 breaks it");
  EXPECT_EQ(question_error("{}"), "[questions] a.json: there must be a key 'data'");
  EXPECT_EQ(
      question_error(R"({"data": [1]})"),
      "[questions] a.json, article 1: there must be an object with a key 'paragraphs', got something else");
  EXPECT_EQ(question_error(R"({"data": [{"paragraphs": []}, {"paragraphs": [{"qas": []}]}]})"),
            "[questions] a.json, article 2, paragraph 1: there must be a key 'context'");
  EXPECT_EQ(question_error(R"({"data": [{"paragraphs": [{"context": "a"}]}]})"),
            "[questions] a.json, article 1, paragraph 1: there must be a key 'qas'");
  EXPECT_EQ(question_error(squad("a", qa("1", answers("a", 0)) + R"(, {"id": 2})")),
            "[questions] a.json, article 1, paragraph 1, question number 2: 'id' must be a text");
  EXPECT_EQ(question_error(R"({"data": {}})"), "[questions] a.json: 'data' must be an array");
  EXPECT_EQ(question_error(R"({"data": []})"), "[questions] a.json: there must be at least one question");
  EXPECT_EQ(question_error(squad("a", qa("1", "\"x\": 1"))),
            "[questions] a.json, question 1: there must be a key 'answers'");
  EXPECT_EQ(question_error(squad("a", R"({"id": "1", "question": " ", "answers": []})")),
            "[questions] a.json, question 1: question and context must not be blank");
  EXPECT_EQ(question_error(squad(" ", qa("1", answers("a", 0)))),
            "[questions] a.json, question 1: question and context must not be blank");
  EXPECT_EQ(question_error(squad("a", qa("1", R"("answers": [{"text": "a"}])"))),
            "[questions] a.json, question 1: an answer must have an integer 'answer_start'");
  EXPECT_EQ(question_error(squad("a", qa("1", R"("answers": [{"text": 1, "answer_start": 0}])"))),
            "[questions] a.json, question 1: 'text' must be a text");
  EXPECT_EQ(question_error(squad("a", qa("1", answers("a", 0)) + "," + qa("1", answers("a", 0)))),
            "[questions] a.json, question 1: each must have an id of its own");
  EXPECT_EQ(question_error(squad("a\xff", "")).substr(0, 42), "[questions] a.json must be valid JSON, its");
}

}  // namespace
}  // namespace bertie
