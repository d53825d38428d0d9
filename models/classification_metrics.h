// How good are predicted labels? As scikit-learn computes it, where a share of nothing is 0: the precision of
// a label that was never predicted, the recall of one that never occurs, and F1 of one that is neither.
#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace bertie {

// Of one label, or of one type of entity: how often it is true, how often predicted, how often both.
struct LabelCounts {
  int64_t truths = 0, predicted = 0, right = 0;
};

struct F1Score {
  double precision = 0;  // right / predicted
  double recall = 0;     // right / truths
  double f1 = 0;         // their harmonic mean, 2 right / (predicted + truths)
};
F1Score f1_score(const LabelCounts& counts);
F1Score micro_average(std::span<const LabelCounts> labels);  // the score of all counts, added up
F1Score macro_average(std::span<const LabelCounts> labels);  // the mean of each label's scores; NaN of none

// One label per example, 0 … classes − 1: how often which was predicted where which is true. Keeps only what
// occurs, so that there may be thousands of classes.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int64_t classes);   // throws unless 1 … 2³¹ − 1
  void add(int64_t truth, int64_t predicted);  // an example; throws where a label is out of range

  int64_t classes() const { return static_cast<int64_t>(labels_.size()); }
  int64_t examples() const { return examples_; }
  int64_t count(int64_t truth, int64_t predicted) const;
  // Of each class; F1 "binary" is f1_score(labels()[1]).
  const std::vector<LabelCounts>& labels() const { return labels_; }

 private:
  int64_t place_of(int64_t truth, int64_t predicted) const { return truth * classes() + predicted; }

  std::vector<LabelCounts> labels_;
  int64_t examples_ = 0;
  std::unordered_map<int64_t, int64_t> counts_;  // by place_of()
};
double accuracy(const ConfusionMatrix& matrix);  // which is the micro-averaged F1, too; NaN of no example
// Over the classes that are true or predicted at least once, for those are all that scikit-learn sees.
F1Score macro_average(const ConfusionMatrix& matrix);
// Matthews' correlation coefficient, of any number of classes (Gorodkin, "Comparing two K-category
// assignments by a K-category correlation coefficient", 2004); 0 where all truths or all predictions are
// alike.
double matthews_correlation(const ConfusionMatrix& matrix);

// Any number of labels per example.
class MultiLabelCounts {
 public:
  explicit MultiLabelCounts(int64_t labels);  // throws unless ≥ 1
  // An example: for each label, whether it holds. Throws unless both have an entry for every label.
  void add(const std::vector<bool>& truth, const std::vector<bool>& predicted);

  int64_t examples() const { return examples_; }
  const std::vector<LabelCounts>& labels() const { return labels_; }
  double subset_accuracy() const;  // the share of examples with all labels right; NaN of no example

 private:
  std::vector<LabelCounts> labels_;
  int64_t examples_ = 0, all_right_ = 0;
};

}  // namespace bertie
