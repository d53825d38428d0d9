// The answers to all questions of XQuAD English: windows from the tokenizer, spans from logits, texts from
// the contexts, beside what transformers makes of the same (tests/models/reference/make_xquad_reference.py).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "bertie/data/tasks/answer_windows.h"
#include "bertie/models/answer_decoding.h"
#include "tests/models/reference_cases.h"

namespace bertie {
namespace {

struct Kind {
  AnswerWindowOptions windows;
  AnswerOptions answers;
};

// As numbers of the script.
std::vector<float> logits_of_window(CaseNumbers& n, int64_t tokens) {
  std::vector<float> logits;
  for (int64_t token = 0; token < tokens; token++)
    logits.push_back((static_cast<float>(n.below(1 << 13) * 512 + token) / (1 << 17) - 16) * 0.7F);
  return logits;
}

TEST(Xquad, TheSameTextsAreChosenAsByTransformers) {
  const char* data = std::getenv("BERTIE_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "BERTIE_TEST_DATA names no folder with vocab and squad";
  Tokenizer tokenizer(Vocabulary::read(std::string(data) + "/vocab/bert-base-uncased-vocab.txt"));
  std::vector<Question> questions = read_questions({std::string(data) + "/squad/xquad.en.json"}).questions;
  std::vector<std::string> lines = reference_lines("xquad_answers.txt.gz");
  ASSERT_EQ(questions.size(), 1190u);
  ASSERT_EQ(lines.size(), questions.size());

  std::vector<std::string> found(questions.size());
  for (const Kind& kind :
       {Kind{.windows = {384, 128}, .answers = {}},
        Kind{.windows = {96, 32}, .answers = {.null_answers = true, .null_threshold = -28}}}) {
    AnswerWindows windows = encode_questions(tokenizer, questions, kind.windows);
    int64_t sequence = 0;
    for (size_t q = 0; q < questions.size(); q++) {
      CaseNumbers numbers(q);
      std::vector<std::vector<float>> logits;
      std::vector<AnswerWindow> of_question;
      int64_t tokens = 0;
      for (; sequence < windows.sequences.size() &&
             windows.sequences.examples[sequence] == static_cast<int64_t>(q);
           sequence++) {
        int64_t length = windows.sequences.length(sequence);
        tokens += length;
        logits.push_back(logits_of_window(numbers, length));
        logits.push_back(logits_of_window(numbers, length));
        of_question.push_back({.start_logits = logits.end()[-2],  // whose memory stays where it is
                               .end_logits = logits.end()[-1],
                               .context_begin = windows.sequences.second_begins[sequence],
                               .spans = windows.of(sequence)});
      }
      TextSpan place = best_answers(of_question, kind.answers).chosen.place;
      std::string text = questions[q].context->substr(place.begin, place.end - place.begin);
      found[q] += fmt::format("{}{} {} {}", found[q].empty() ? "" : " ", of_question.size(), tokens,
                              text.empty() ? "-" : checksum(text));
    }
    EXPECT_EQ(sequence, windows.sequences.size());
  }
  for (size_t q = 0; q < questions.size(); q++) EXPECT_EQ(found[q], lines[q]) << questions[q].question;
}

}  // namespace
}  // namespace bertie
