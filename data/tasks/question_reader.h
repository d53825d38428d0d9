// Questions about texts, whose answers are spans of them: SQuAD 1.1 and 2.0 (Rajpurkar et al., 2016 and
// 2018).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bertie {

struct Answer {
  std::string text;
  // Bytes [begin, end) of the context; −1, −1 where the context doesn't have the text at the place that the
  // file says.
  int64_t begin = -1, end = -1;

  bool in_place() const { return begin >= 0; }
};

struct Question {
  std::string id;
  std::string question;
  std::shared_ptr<const std::string> context;  // which questions share
  std::vector<Answer> answers = {};            // as people gave them; none: the context has no answer
};

struct QuestionData {
  std::vector<Question> questions;
  bool has_impossible = false;  // SQuAD 2.0: at least one question has no answer
  // Answers whose text isn't where the file says it is, and the id of the first such question. As with the
  // script of the BERT paper they aren't trained on: encode_answered() leaves out questions that have no
  // other. The official metrics compare texts alone and use them.
  int64_t misplaced_answers = 0;
  std::string first_misplaced;
};

// Reads files of one JSON object each: data[].paragraphs[] with a context and qas[], each of which has a
// question, an id, answers[] of text and answer_start (in code points), and perhaps is_impossible. Compressed
// by gzip or not. `for_training`: false allows a question without "answers"; in training it must have them,
// be it an empty array. Throws an Error that names the file, and the question where there is one, on JSON
// that isn't valid or lacks something, a repeated id, a question that is impossible and has answers, and a
// file without questions.
QuestionData read_questions(const std::vector<std::string>& paths, bool for_training = true);

}  // namespace bertie
