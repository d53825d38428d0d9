// Questions and contexts as sequences [CLS] question [SEP] context [SEP]. A context that is longer than a
// sequence becomes several, as transformers' run_qa.py makes them (tokenizers with truncation "only_second"
// and a stride).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bertie/data/tasks/question_reader.h"
#include "bertie/data/tasks/tag_windows.h"
#include "bertie/data/tasks/task_sequences.h"

namespace bertie {

struct AnswerWindowOptions {
  int64_t max_length = 384;  // tokens of a sequence
  int64_t stride = 128;      // tokens of the context that two sequences in a row share
};

struct AnswerWindows {
  TaskSequences sequences;  // examples[i]: its question; of one question they are in the order of the context
  // Bytes of the context that the context's tokens of sequence i are from, in order: token `second_begins[i]`
  // is from the first span. (The last token, [SEP], has none.)
  std::vector<TextSpan> spans;
  std::vector<int64_t> span_offsets = {0};  // [n + 1]
  int64_t left_out = 0;                     // questions that have no sequence: their answers are out of place
  int64_t cut_questions = 0;                // questions that lost tokens at their end

  void append(const AnswerWindows& more);                // without labels
  std::span<const TextSpan> of(int64_t sequence) const;  // throws where there is no such sequence
};

// With labels: those of each question's first answer that is in place, at the tokens that hold its first and
// last byte; [CLS] where the sequence doesn't hold all of it. Questions whose answers are all out of place
// are left out. White space before a question is left out. Where question and context don't fit together and
// the question leaves less than stride + 1 tokens for the context, the question loses tokens at its end.
// Throws where stride is negative or max_length below stride + 5.
AnswerWindows encode_answered(const Tokenizer& tokenizer, std::span<const Question> questions,
                              const AnswerWindowOptions& options);
// For prediction and evaluation: every question is there, and there are no labels.
AnswerWindows encode_questions(const Tokenizer& tokenizer, std::span<const Question> questions,
                               const AnswerWindowOptions& options);

}  // namespace bertie
