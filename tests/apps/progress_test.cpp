#include "apps/console/progress.h"

#include <gtest/gtest.h>

namespace bertie {
namespace {

// As TrainingMeter::progress() has it (metrics_test.cpp), of a run of hours with both of BERT's losses.
ProgressLine training() {
  return {"Training",
          12345,
          45000,
          {{"mlm 1.653  accuracy 0.412", "mlm 1.653 41%"},
           {"nsp 0.693  accuracy 0.811", "nsp 0.693 81%"},
           {"12345 tokens/s, 47 % of sgemm", "12.3k tok/s 47%"},
           {"learning rate 9.8e-4", "lr 9.8e-4"},
           {"gradient norm 0.52", "|g| 0.52"}},
          2520,
          6622};
}

TEST(ProgressLine, AllOfItFitsEightyColumns) {
  EXPECT_EQ(training().text(79),
            "27% 1:50:22 left mlm 1.653 41% nsp 0.693 81% 12.3k tok/s 47% lr 9.8e-4 |g| 0.52");
}

TEST(ProgressLine, OnANarrowerTerminalTheEndIsLeftOut) {
  EXPECT_EQ(training().text(78), "27% 1:50:22 left mlm 1.653 41% nsp 0.693 81% 12.3k tok/s 47% lr 9.8e-4");
  EXPECT_EQ(training().text(40), "27% 1:50:22 left mlm 1.653 41%");
  EXPECT_EQ(training().text(3), "27%");
  EXPECT_EQ(training().text(2), "27");
  for (int columns = 1; columns < 240; ++columns)
    EXPECT_LE(training().text(columns).size(), static_cast<size_t>(columns));
  EXPECT_EQ(training().text(0).size(), 1u);
}

TEST(ProgressLine, OnAWiderOnePartsStandApartThenGrowThenComesTheBar) {
  EXPECT_EQ(training().text(85),
            "27%  1:50:22 left  mlm 1.653 41%  nsp 0.693 81%  12.3k tok/s 47%  lr 9.8e-4  |g| 0.52");
  EXPECT_EQ(training().text(93),  // no room for a bar
            "27%  1:50:22 left  mlm 1.653 41%  nsp 0.693 81%  12.3k tok/s 47%  lr 9.8e-4  |g| 0.52");
  EXPECT_EQ(training().text(94),
            "[#....]  27%  1:50:22 left  mlm 1.653 41%  nsp 0.693 81%  12.3k tok/s 47%  lr 9.8e-4  |g| "
            "0.52");
  std::string all =
      "12345/45000  42:00, 1:50:22 left  mlm 1.653  accuracy 0.412  nsp 0.693  accuracy 0.811  12345 "
      "tokens/s, 47 % of sgemm  learning rate 9.8e-4  gradient norm 0.52";
  EXPECT_EQ(training().text(220), "[######..................]  " + all);
  EXPECT_EQ(training().text(static_cast<int>(all.size())), all);
  EXPECT_EQ(training().log(), "  " + all);
}

TEST(ProgressLine, WithoutDetailsTellsWhatIsDoneAndHowMuch) {
  ProgressLine line{"Comparing", 50, 100, {}, 30, 30};
  EXPECT_EQ(line.text(80), "Comparing  [############............]  50 %  0:30, 0:30 left");
  EXPECT_EQ(line.log(), "  Comparing  50 %  0:30, 0:30 left");
  line.seconds_left = -1;
  EXPECT_EQ(line.log(), "  Comparing  50 %  0:30");
  EXPECT_EQ((ProgressLine{"Reading the text", 0, 0, {}, 0, -1}.text(80)), "Reading the text");
}

// 2 steps a second; then 10 a second: after 20 seconds nothing of the slow ones is left.
TEST(RecentSums, AreOfTheLastTwentySeconds) {
  RecentSums sums;
  double now = 0;
  for (int step = 0; step < 100; ++step) sums.add(now += 0.5, {1, 10});
  EXPECT_NEAR(sums.seconds(), 20.5, 0.51);
  EXPECT_DOUBLE_EQ(sums.sums()[0] / sums.seconds(), 2);
  EXPECT_DOUBLE_EQ(sums.sums()[1], 10 * sums.sums()[0]);
  for (int step = 0; step < 210; ++step) sums.add(now += 0.1, {1, 10});
  EXPECT_NEAR(sums.sums()[0] / sums.seconds(), 10, 1e-6);
}

TEST(RecentSums, OfLongStepsAreOfTen) {
  RecentSums sums;
  EXPECT_EQ(sums.seconds(), 0);
  EXPECT_TRUE(sums.sums().empty());
  for (int step = 1; step <= 50; ++step) sums.add(step * 30.0, {static_cast<double>(step)});
  EXPECT_DOUBLE_EQ(sums.seconds(), 300);
  EXPECT_DOUBLE_EQ(sums.sums()[0], 455);  // 41 + … + 50
}

TEST(Progress, WithoutATerminalSaysNothingAtFirst) {
  testing::internal::CaptureStderr();
  {
    Progress progress("Training", 10);
    for (int64_t step = 1; step <= 10; ++step)
      progress.update(step, []() -> std::vector<ProgressPart> {
        throw std::logic_error("nothing is printed, so this isn't called");
      });
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
