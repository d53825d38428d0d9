// What a task's logits say, and how good that is on data whose truth is known. Logits are as predict_logits()
// gives them (models/task_objective.h), f32.
#pragma once
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bertie/data/tasks/answer_windows.h"
#include "bertie/data/tasks/label_set.h"
#include "bertie/data/tasks/tag_windows.h"
#include "bertie/models/answer_decoding.h"
#include "bertie/models/classification_metrics.h"

namespace bertie {

// Scores by name, the one first that usually decides: the larger, the better, but "mean_squared_error".
using TaskScores = std::vector<std::pair<std::string, double>>;

// Of row `row` of logits [n, L] the probability of each label: their softmax, or, where an example has any
// number of labels, the sigmoid of each.
std::vector<double> label_probabilities(const Array& logits, int64_t row, bool several);
// The label of the largest logit of a row, of equal ones the first.
int32_t best_label(const Array& logits, int64_t row);
// Those of more than one half.
std::vector<bool> likely_labels(const Array& logits, int64_t row);

// A word's tag: its probability among all.
struct PredictedTag {
  int32_t label;  // −1 where the word has no token, which is O
  double probability;
};
std::vector<PredictedTag> predicted_tags(const TagWindows& windows, int64_t sentence, const Array& logits);
// "O" where there is none.
std::vector<std::string> tag_names(std::span<const PredictedTag> tags, const LabelSet& labels);

// Of question `question`, whose windows are those of this number from encode_questions().
FoundAnswers predicted_answers(const AnswerWindows& windows, int64_t question, const Array& logits,
                               const AnswerOptions& options);

ConfusionMatrix confusion(const Array& logits, const Array& labels);

// labels [n]: accuracy, with two labels f1 (of the second), else macro-averaged f1; matthews_correlation.
TaskScores class_scores(const ConfusionMatrix& matrix);
// labels [n, L]: f1 (micro-averaged over all labels), macro-averaged f1, accuracy (all labels right).
TaskScores several_scores(const Array& logits, const Array& labels);
// labels [n]: pearson, spearman, mean_squared_error.
TaskScores number_scores(const Array& logits, const Array& labels);
// f1, precision and recall of entities (of tags, where they follow no scheme), and the accuracy over words.
TaskScores tag_scores(std::span<const TaggedSentence> sentences, const TagWindows& windows,
                      const Array& logits, const LabelSet& labels);
// f1 and exact_match, in percent; with null answers those of SQuAD 2.0 at the options' threshold, and the
// best that any threshold gives.
TaskScores answer_scores(std::span<const Question> questions, const AnswerWindows& windows,
                         const Array& logits, const AnswerOptions& options);

}  // namespace bertie
