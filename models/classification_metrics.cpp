#include "bertie/models/classification_metrics.h"

#include <cmath>
#include <limits>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// As share(), but nothing is known of no example.
double mean(int64_t right, int64_t examples) {
  return examples > 0 ? share(right, examples) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

F1Score f1_score(const LabelCounts& counts) {
  return {.precision = share(counts.right, counts.predicted),
          .recall = share(counts.right, counts.truths),
          .f1 = share(2 * counts.right, counts.predicted + counts.truths)};
}

F1Score micro_average(std::span<const LabelCounts> labels) {
  LabelCounts all;
  for (const LabelCounts& label : labels) {
    all.truths += label.truths;
    all.predicted += label.predicted;
    all.right += label.right;
  }
  return f1_score(all);
}

F1Score macro_average(std::span<const LabelCounts> labels) {
  F1Score sum;
  for (const LabelCounts& label : labels) {
    F1Score score = f1_score(label);
    sum.precision += score.precision;
    sum.recall += score.recall;
    sum.f1 += score.f1;
  }
  double number = static_cast<double>(labels.size());
  return {sum.precision / number, sum.recall / number, sum.f1 / number};
}

ConfusionMatrix::ConfusionMatrix(int64_t classes) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();  // so that places are numbers
  BERTIE_CHECK(classes >= 1 && classes <= most, "ConfusionMatrix", "there must be 1 to {} classes, got {}",
               most, classes);
  labels_.resize(classes);
}

void ConfusionMatrix::add(int64_t truth, int64_t predicted) {
  for (int64_t label : {truth, predicted})
    BERTIE_CHECK(label >= 0 && label < classes(), "ConfusionMatrix", "a label must be in [0, {}), got {}",
                 classes(), label);
  ++counts_[place_of(truth, predicted)];
  ++examples_;
  ++labels_[truth].truths;
  ++labels_[predicted].predicted;
  labels_[truth].right += truth == predicted;
}

int64_t ConfusionMatrix::count(int64_t truth, int64_t predicted) const {
  auto found = counts_.find(place_of(truth, predicted));
  return found == counts_.end() ? 0 : found->second;
}

double accuracy(const ConfusionMatrix& matrix) {
  int64_t right = 0;
  for (const LabelCounts& label : matrix.labels()) right += label.right;
  return mean(right, matrix.examples());
}

F1Score macro_average(const ConfusionMatrix& matrix) {
  std::vector<LabelCounts> labels = matrix.labels();
  std::erase_if(labels, [](const LabelCounts& label) { return label.truths + label.predicted == 0; });
  return macro_average(labels);
}

double matthews_correlation(const ConfusionMatrix& matrix) {
  // With t and p the numbers of true and of predicted examples of each class, n of all and r of the right
  // ones:
  //   (r n − t·p) / √((n² − p·p) (n² − t·t))
  // In f64, for n² may be larger than 64 bits hold.
  double right = 0, both = 0, truths = 0, predicted = 0;
  for (const LabelCounts& label : matrix.labels()) {
    double t = static_cast<double>(label.truths), p = static_cast<double>(label.predicted);
    right += static_cast<double>(label.right);
    both += t * p;
    truths += t * t;
    predicted += p * p;
  }
  double n = static_cast<double>(matrix.examples());
  double spread = (n * n - predicted) * (n * n - truths);
  return spread == 0 ? 0 : (right * n - both) / std::sqrt(spread);
}

MultiLabelCounts::MultiLabelCounts(int64_t labels) {
  BERTIE_CHECK(labels >= 1, "MultiLabelCounts", "there must be at least 1 label, got {}", labels);
  labels_.resize(labels);
}

void MultiLabelCounts::add(const std::vector<bool>& truth, const std::vector<bool>& predicted) {
  BERTIE_CHECK(truth.size() == labels_.size() && predicted.size() == labels_.size(), "MultiLabelCounts",
               "truth and prediction must have {} labels, got {} and {}", labels_.size(), truth.size(),
               predicted.size());
  for (size_t i = 0; i < labels_.size(); i++) {
    labels_[i].truths += truth[i];
    labels_[i].predicted += predicted[i];
    labels_[i].right += truth[i] && predicted[i];
  }
  ++examples_;
  all_right_ += truth == predicted;
}

double MultiLabelCounts::subset_accuracy() const { return mean(all_right_, examples_); }

}  // namespace bertie
