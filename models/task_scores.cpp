#include "bertie/models/task_scores.h"

#include <algorithm>
#include <cmath>

#include "bertie/data/tasks/tag_scheme.h"
#include "bertie/models/answer_metrics.h"
#include "bertie/models/correlation.h"
#include "bertie/models/entity_metrics.h"

namespace bertie {
namespace {

std::span<const float> row_of(const Array& logits, int64_t row) {
  BERTIE_CHECK(logits && logits.dtype() == DType::f32 && logits.shape().rank() == 2, "predict",
               "logits must be f32 of two axes, got {} {}", name(logits.dtype()), logits.shape());
  BERTIE_CHECK(row >= 0 && row < logits.shape()[0], "predict", "there are {} rows of logits, asked for {}",
               logits.shape()[0], row);
  int64_t labels = logits.shape()[1];
  return {logits.data<float>() + row * labels, static_cast<size_t>(labels)};
}

void check_labels(const Array& logits, const Array& labels) {
  BERTIE_CHECK(labels && labels.shape()[0] == logits.shape()[0], "score",
               "there must be a label for each of {} rows of logits, got {}", logits.shape()[0],
               labels.shape());
}

}  // namespace

std::vector<double> label_probabilities(const Array& logits, int64_t row, bool several) {
  std::span<const float> scores = row_of(logits, row);
  double most = *std::max_element(scores.begin(), scores.end()), sum = 0;
  std::vector<double> probabilities;
  for (double score : scores) {
    probabilities.push_back(several ? 1 / (1 + std::exp(-score)) : std::exp(score - most));
    sum += probabilities.back();
  }
  if (!several)
    for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

int32_t best_label(const Array& logits, int64_t row) {
  std::span<const float> scores = row_of(logits, row);
  return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

std::vector<bool> likely_labels(const Array& logits, int64_t row) {
  std::vector<bool> likely;
  for (float score : row_of(logits, row)) likely.push_back(score > 0);  // σ(0) is one half
  return likely;
}

std::vector<PredictedTag> predicted_tags(const TagWindows& windows, int64_t sentence, const Array& logits) {
  std::vector<PredictedTag> tags;
  for (const WordPlace& word : windows.of(sentence)) {
    if (word.row < 0) {
      tags.push_back({-1, 1});
      continue;
    }
    int32_t label = best_label(logits, word.row);
    tags.push_back({label, label_probabilities(logits, word.row, false)[label]});
  }
  return tags;
}

std::vector<std::string> tag_names(std::span<const PredictedTag> tags, const LabelSet& labels) {
  std::vector<std::string> names;
  for (const PredictedTag& tag : tags) names.push_back(tag.label < 0 ? "O" : labels.name(tag.label));
  return names;
}

FoundAnswers predicted_answers(const AnswerWindows& windows, int64_t question, const Array& logits,
                               const AnswerOptions& options) {
  const TaskSequences& sequences = windows.sequences;
  auto [first, last] = std::equal_range(sequences.examples.begin(), sequences.examples.end(), question);
  int64_t begin = first - sequences.examples.begin(), end = last - sequences.examples.begin();
  std::vector<std::vector<float>> starts, ends;
  for (int64_t i = begin; i < end; ++i) {
    std::vector<float>&start = starts.emplace_back(), &stop = ends.emplace_back();
    for (int64_t token = sequences.offsets[i]; token < sequences.offsets[i + 1]; ++token) {
      std::span<const float> both = row_of(logits, token);
      start.push_back(both[0]);
      stop.push_back(both[1]);
    }
  }
  std::vector<AnswerWindow> parts;
  for (int64_t i = begin; i < end; ++i)
    parts.push_back({starts[i - begin], ends[i - begin], sequences.second_begins[i], windows.of(i)});
  return best_answers(parts, options);
}

ConfusionMatrix confusion(const Array& logits, const Array& labels) {
  check_labels(logits, labels);
  ConfusionMatrix matrix(logits.shape()[1]);
  for (int64_t i = 0; i < labels.size(); ++i) matrix.add(labels.data<int32_t>()[i], best_label(logits, i));
  return matrix;
}

TaskScores class_scores(const ConfusionMatrix& matrix) {
  bool two = matrix.classes() == 2;
  return {{"accuracy", accuracy(matrix)},
          {two ? "f1" : "macro_f1", two ? f1_score(matrix.labels()[1]).f1 : macro_average(matrix).f1},
          {"matthews_correlation", matthews_correlation(matrix)}};
}

TaskScores several_scores(const Array& logits, const Array& labels) {
  check_labels(logits, labels);
  BERTIE_CHECK(labels.shape() == logits.shape(), "score",
               "there must be a number for each of the logits {}, got {}", logits.shape(), labels.shape());
  int64_t count = logits.shape()[1];
  MultiLabelCounts counts(count);
  for (int64_t i = 0; i < logits.shape()[0]; ++i) {
    const float* truth = labels.data<float>() + i * count;
    counts.add(std::vector<bool>(truth, truth + count), likely_labels(logits, i));
  }
  return {{"f1", micro_average(counts.labels()).f1},
          {"macro_f1", macro_average(counts.labels()).f1},
          {"accuracy", counts.subset_accuracy()}};
}

TaskScores number_scores(const Array& logits, const Array& labels) {
  check_labels(logits, labels);
  std::vector<double> predicted, truth;
  double squares = 0;
  for (int64_t i = 0; i < labels.size(); ++i) {
    predicted.push_back(row_of(logits, i)[0]);
    truth.push_back(labels.data<float>()[i]);
    squares += (predicted[i] - truth[i]) * (predicted[i] - truth[i]);
  }
  return {{"pearson", pearson_correlation(predicted, truth)},
          {"spearman", spearman_correlation(predicted, truth)},
          {"mean_squared_error", squares / static_cast<double>(labels.size())}};
}

TaskScores tag_scores(std::span<const TaggedSentence> sentences, const TagWindows& windows,
                      const Array& logits, const LabelSet& labels) {
  EntityCounts entities;
  ConfusionMatrix words(labels.size());
  int64_t right = 0, all = 0;
  for (size_t s = 0; s < sentences.size(); ++s) {
    std::vector<PredictedTag> tags = predicted_tags(windows, static_cast<int64_t>(s), logits);
    std::vector<std::string> names = tag_names(tags, labels);
    entities.add(sentences[s].tags, names);
    for (size_t w = 0; w < names.size(); ++w) {
      right += names[w] == sentences[s].tags[w];
      ++all;
      if (tags[w].label >= 0)
        words.add(labels.id(sentences[s].tags[w], sentences[s].place_of(w)), tags[w].label);
    }
  }
  double word_accuracy = static_cast<double>(right) / static_cast<double>(all);
  if (scheme_of_labels(labels.names()) == TagScheme::none)
    return {{"accuracy", word_accuracy}, {"macro_f1", macro_average(words).f1}};
  F1Score score = entities.score();
  return {{"f1", score.f1},
          {"precision", score.precision},
          {"recall", score.recall},
          {"accuracy", word_accuracy}};
}

TaskScores answer_scores(std::span<const Question> questions, const AnswerWindows& windows,
                         const Array& logits, const AnswerOptions& options) {
  std::vector<AnsweredQuestion> answered;
  for (size_t q = 0; q < questions.size(); ++q) {
    FoundAnswers answers = predicted_answers(windows, static_cast<int64_t>(q), logits, options);
    AnsweredQuestion& one = answered.emplace_back();
    one.null_score = answers.null_difference;
    auto best = std::find_if(answers.kept.begin(), answers.kept.end(),
                             [](const AnswerSpan& answer) { return !answer.is_null(); });
    if (best != answers.kept.end())
      one.predicted = questions[q].context->substr(best->place.begin, best->place.end - best->place.begin);
    for (const Answer& truth : questions[q].answers) one.truths.push_back(truth.text);
  }
  if (!options.null_answers) {
    AnswerScores scores = squad1_scores(answered);
    return {{"f1", scores.f1}, {"exact_match", scores.exact_match}};
  }
  Squad2Scores scores = squad2_scores(answered, options.null_threshold);
  return {{"f1", scores.all.f1},
          {"exact_match", scores.all.exact_match},
          {"best_f1", scores.best_f1},
          {"best_f1_threshold", scores.best_f1_threshold},
          {"best_exact_match", scores.best_exact_match},
          {"best_exact_match_threshold", scores.best_exact_match_threshold}};
}

}  // namespace bertie
