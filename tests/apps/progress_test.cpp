#include "apps/progress.h"

#include <gtest/gtest.h>

namespace bertie {
namespace {

ProgressLine training() {
  return {"Training", 1234, 4500, "loss 2.346  accuracy 0.412  12345 tokens/s", 42, 110};
}

TEST(ProgressLine, FillsATerminalAndNoMore) {
  EXPECT_EQ(
      training().text(120),
      "[######..................]  1234/4500  loss 2.346  accuracy 0.412  12345 tokens/s  0:42, 1:50 left");
  EXPECT_EQ(training().text(79),
            "[#....]  1234/4500  loss 2.346  accuracy 0.412  12345 tokens/s  0:42, 1:50 left");
  EXPECT_EQ(training().text(78),  // no room for a bar
            "1234/4500  loss 2.346  accuracy 0.412  12345 tokens/s  0:42, 1:50 left");
  EXPECT_EQ(training().text(20), "1234/4500  loss 2.34");
  for (int columns = 1; columns < 200; ++columns)
    EXPECT_LE(training().text(columns).size(), static_cast<size_t>(columns));
  EXPECT_EQ(training().text(0).size(), 1u);
}

TEST(ProgressLine, WithoutDetailsTellsWhatIsDoneAndHowMuch) {
  ProgressLine line{"Comparing", 50, 100, "", 30, 30};
  EXPECT_EQ(line.text(80), "Comparing  [############............]  50 %  0:30, 0:30 left");
  EXPECT_EQ(line.log(), "  Comparing  50 %  0:30, 0:30 left");
  line.seconds_left = -1;
  EXPECT_EQ(line.log(), "  Comparing  50 %  0:30");
  EXPECT_EQ((ProgressLine{"Reading the text", 0, 0, "", 0, -1}.text(80)), "Reading the text");
}

TEST(ProgressLine, ALogHasAllOfIt) {
  EXPECT_EQ(training().log(), "  1234/4500  loss 2.346  accuracy 0.412  12345 tokens/s  0:42, 1:50 left");
}

// 2 steps a second; then 10 a second: after 20 seconds nothing of the slow ones is left.
TEST(RecentSums, AreOfTheLastTwentySeconds) {
  RecentSums<2> sums;
  double now = 0;
  for (int step = 0; step < 100; ++step) sums.add(now += 0.5, {1, 10});
  EXPECT_NEAR(sums.seconds(), 20.5, 0.51);
  EXPECT_DOUBLE_EQ(sums.sums()[0] / sums.seconds(), 2);
  EXPECT_DOUBLE_EQ(sums.sums()[1], 10 * sums.sums()[0]);
  for (int step = 0; step < 210; ++step) sums.add(now += 0.1, {1, 10});
  EXPECT_NEAR(sums.sums()[0] / sums.seconds(), 10, 1e-6);
}

TEST(RecentSums, OfLongStepsAreOfTen) {
  RecentSums<1> sums;
  EXPECT_EQ(sums.seconds(), 0);
  for (int step = 1; step <= 50; ++step) sums.add(step * 30.0, {static_cast<double>(step)});
  EXPECT_DOUBLE_EQ(sums.seconds(), 300);
  EXPECT_DOUBLE_EQ(sums.sums()[0], 455);  // 41 + … + 50
}

TEST(Progress, WithoutATerminalSaysNothingAtFirst) {
  testing::internal::CaptureStderr();
  {
    Progress progress("Training", 10);
    for (int64_t step = 1; step <= 10; ++step) progress.update(step, [] { return "never called"; });
    progress.pause();
    progress.resume();
    double worked = progress.worked();
    EXPECT_LE(worked, progress.elapsed());
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, Durations) {
  EXPECT_EQ(duration(0.4), "0:00");
  EXPECT_EQ(duration(125), "2:05");
  EXPECT_EQ(duration(3599.6), "1:00:00");
}

}  // namespace
}  // namespace bertie
