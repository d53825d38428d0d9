// Exact match and F1 of answers, as the official scripts of SQuAD compute them (evaluate-v1.1.py and
// evaluate-v2.0.py; Rajpurkar et al., 2016 and 2018).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bertie {

// Lower case, without ASCII punctuation, then without the articles a, an and the, words separated by one
// space. Letters, white space and lower case are Unicode's, as Python has them. Invalid UTF-8 counts as
// U+FFFD.
std::string normalize_answer(std::string_view text);

struct AnsweredQuestion {
  std::string predicted;            // empty: no answer
  std::vector<std::string> truths;  // any of them is right; none: the question has no answer
  double null_score = 0;            // 2.0 only: the larger, the surer that there is no answer
};

struct AnswerScores {
  int64_t questions = 0;
  double exact_match = 0, f1 = 0;  // means over the questions, in percent; NaN of none
};

// SQuAD 1.1. Each question counts with the truth that is best for it. F1 is that of the words, and 0 where no
// word is common, even if both are empty. Throws where a question has no truth.
AnswerScores squad1_scores(std::span<const AnsweredQuestion> questions);

struct Squad2Scores {
  // Where a null_score is over the threshold, the answer counts as empty.
  AnswerScores all, with_answer, without_answer;
  // The best that any threshold gives, in percent, and the smallest null_score at which it is reached, or 0
  // where no threshold is better than never to answer. Several equal null_scores can't be told apart by a
  // threshold; as the official script, this does, in the order of the questions.
  double best_exact_match = 0, best_exact_match_threshold = 0;
  double best_f1 = 0, best_f1_threshold = 0;
};

// SQuAD 2.0. Where prediction or truth is empty, F1 is 1 if both are, else 0. A truth of nothing but articles
// and punctuation counts as none, unless there is no other. The official script's threshold is 1 where none
// is given. Throws where a null_score is NaN.
Squad2Scores squad2_scores(std::span<const AnsweredQuestion> questions, double threshold);

}  // namespace bertie
