// By hand; tests/models/metrics_reference_test.cpp compares with scikit-learn.
#include "bertie/models/classification_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/message_of.h"

namespace bertie {
namespace {

ConfusionMatrix matrix_of(const std::vector<std::vector<int64_t>>& counts) {
  ConfusionMatrix matrix(static_cast<int64_t>(counts.size()));
  for (size_t truth = 0; truth < counts.size(); truth++)
    for (size_t predicted = 0; predicted < counts.size(); predicted++)
      for (int64_t i = 0; i < counts[truth][predicted]; i++)
        matrix.add(static_cast<int64_t>(truth), static_cast<int64_t>(predicted));
  return matrix;
}

TEST(ClassificationMetrics, OfTwoClasses) {
  ConfusionMatrix matrix = matrix_of({{50, 10}, {5, 35}});
  EXPECT_EQ(matrix.examples(), 100);
  EXPECT_EQ(matrix.count(0, 1), 10);
  EXPECT_DOUBLE_EQ(accuracy(matrix), 0.85);
  F1Score score = f1_score(matrix.labels()[1]);
  EXPECT_DOUBLE_EQ(score.precision, 35.0 / 45);
  EXPECT_DOUBLE_EQ(score.recall, 35.0 / 40);
  EXPECT_DOUBLE_EQ(score.f1, 70.0 / 85);
  EXPECT_DOUBLE_EQ(matthews_correlation(matrix), (35.0 * 50 - 10 * 5) / std::sqrt(45.0 * 40 * 60 * 55));
}

// A class that is never true nor predicted has no part in the average, one that is one of both has.
TEST(ClassificationMetrics, AveragesAreOverWhatOccurs) {
  EXPECT_DOUBLE_EQ(macro_average(matrix_of({{2, 0, 0}, {0, 2, 0}, {0, 0, 0}})).f1, 1);
  EXPECT_DOUBLE_EQ(macro_average(matrix_of({{2, 0, 0}, {0, 2, 1}, {0, 0, 0}})).recall, (1 + 2.0 / 3 + 0) / 3);
  MultiLabelCounts counts(2);  // of these, all are known
  counts.add({true, false}, {true, false});
  EXPECT_DOUBLE_EQ(macro_average(counts.labels()).f1, 0.5);
}

// Of which a table would take terabytes.
TEST(ClassificationMetrics, OfAMillionClasses) {
  ConfusionMatrix matrix(1'000'000);
  for (int64_t i = 0; i < 3; ++i) matrix.add(999'999, 999'999);
  matrix.add(999'999, 0);
  EXPECT_EQ(matrix.count(999'999, 999'999), 3);
  EXPECT_EQ(matrix.count(999'999, 0), 1);
  EXPECT_EQ(matrix.count(0, 999'999), 0);
  EXPECT_EQ(accuracy(matrix), 0.75);
  EXPECT_EQ(macro_average(matrix).recall, 0.375);
}

TEST(ClassificationMetrics, OfLargeCounts) {
  LabelCounts large{.truths = int64_t{1} << 40, .predicted = int64_t{1} << 40, .right = int64_t{1} << 39};
  EXPECT_EQ(f1_score(large).f1, 0.5);
}

TEST(ClassificationMetrics, NothingIsKnownOfNoExample) {
  ConfusionMatrix matrix(2);
  EXPECT_TRUE(std::isnan(accuracy(matrix)));
  EXPECT_TRUE(std::isnan(macro_average(matrix).f1));
  EXPECT_EQ(matthews_correlation(matrix), 0);
  EXPECT_TRUE(std::isnan(MultiLabelCounts(2).subset_accuracy()));
  EXPECT_EQ(micro_average({}).f1, 0);
}

TEST(ClassificationMetrics, RefuseWhatIsNoLabel) {
  ConfusionMatrix matrix(2);
  EXPECT_EQ(message_of([&] { matrix.add(0, 2); }), "[ConfusionMatrix] a label must be in [0, 2), got 2");
  EXPECT_EQ(message_of([&] { matrix.add(-1, 0); }), "[ConfusionMatrix] a label must be in [0, 2), got -1");
  EXPECT_EQ(matrix.examples(), 0);
  EXPECT_EQ(message_of([] { ConfusionMatrix(0); }),
            "[ConfusionMatrix] there must be 1 to 2147483647 classes, got 0");
  EXPECT_NE(message_of([] { ConfusionMatrix(int64_t{1} << 40); }), "no error");
  MultiLabelCounts counts(2);
  EXPECT_EQ(message_of([&] {
              counts.add({true, false}, {true});
            }),
            "[MultiLabelCounts] truth and prediction must have 2 labels, got 2 and 1");
  EXPECT_EQ(message_of([] { MultiLabelCounts(0); }),
            "[MultiLabelCounts] there must be at least 1 label, got 0");
}

}  // namespace
}  // namespace bertie
