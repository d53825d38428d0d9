// From start and end logits to the answer in the text, over all windows that the text was cut into: what
// transformers' example for question answering does (postprocess_qa_predictions in its utils_qa.py).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bertie/data/tasks/answer_windows.h"

namespace bertie {

// The logits of a window's tokens, and bytes of the context (AnswerWindows::of) that those of the context are
// from: tokens context_begin, context_begin + 1, …; the others are [CLS], the question and [SEP]. The first
// is [CLS], whose logits are those of "no answer".
struct AnswerWindow {
  std::span<const float> start_logits, end_logits;
  int64_t context_begin = 0;
  std::span<const TextSpan> spans;
};

struct AnswerOptions {
  int64_t n_best = 20;             // starts and ends that are tried in a window, and answers that are kept
  int64_t max_answer_length = 30;  // tokens
  bool null_answers = false;       // whether there may be none (SQuAD 2.0)
  float null_threshold = 0;        // there is none where null_difference is larger
};

struct AnswerSpan {
  TextSpan place;  // bytes of the context; [0, 0) where there is no answer
  float start_logit = 0, end_logit = 0;
  // Softmax of the scores of all answers that are kept.
  double probability = 0;
  float score() const { return start_logit + end_logit; }
  bool is_null() const { return place.begin == place.end; }
};

struct FoundAnswers {
  // Best first, n_best of them. With null_answers, the null answer is always among them, or, where it is
  // worse than all of these, behind them; without, it never is.
  std::vector<AnswerSpan> kept;
  AnswerSpan chosen;  // one of them; the null answer where there is none (transformers writes "empty" then)
  // The null answer's score, the least that a window gives it, minus that of the best other answer; +∞ where
  // there is no other. What null_threshold is compared with, and what the search for SQuAD's best threshold
  // (models/answer_metrics.h) takes. 0 without null_answers.
  float null_difference = 0;
};

// Of the windows of one question. An answer lies in one window, begins at one of its n_best tokens of largest
// start logit and ends at one of those of largest end logit. Of equal logits the later token goes first, of
// equal scores the answer that was met first: earlier window, better start, better end. Throws where there is
// no window or an empty one, its parts don't fit together, a logit is over 1e38 or NaN, spans run backwards
// or a number in the options is less than 1.
FoundAnswers best_answers(std::span<const AnswerWindow> windows, const AnswerOptions& options);

}  // namespace bertie
