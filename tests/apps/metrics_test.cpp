#include "apps/run/metrics.h"

#include <gtest/gtest.h>

#include <fstream>

#include "apps/run/model_folder.h"
#include "apps/run/run_log.h"
#include "bertie/data/files/mapped_file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

Record training(int64_t step) { return {{"kind", "training"}, {"step", step}, {"loss", 7.0 - step}}; }
Record evaluation(int64_t step) {
  return {{"kind", "evaluation"}, {"step", step}, {"held_out", {{"loss", 6.0}}}};
}

TEST(Metrics, ALastLineThatIsCutIsLeftOut) {
  TemporaryFolder folder;
  std::string text = evaluation(0).dump() + "\n" + training(1).dump() + "\n",
              last = training(2).dump() + "\n";
  for (size_t length = 0; length <= last.size(); ++length) {
    write(folder / "metrics.jsonl", text + last.substr(0, length));
    std::vector<Record> expected{evaluation(0), training(1)};
    if (length == last.size()) expected.push_back(training(2));
    EXPECT_EQ(read_metrics(folder / "metrics.jsonl"), expected) << length;
  }
  write(folder / "metrics.jsonl", "");
  EXPECT_TRUE(read_metrics(folder / "metrics.jsonl").empty());
}

TEST(Metrics, AnotherLineThatIsntARecordIsAnError) {
  TemporaryFolder folder;
  std::string path = folder / "metrics.jsonl";
  for (const char* line :
       {"", "{\"kind\":\"training\",\"st", "[1]", "{\"step\":3}", "{\"kind\":\"training\"}",
        "{\"kind\":1,\"step\":3}", "{\"kind\":\"training\",\"step\":1.5}", "{} {}"}) {
    write(path, training(1).dump() + "\n" + line + "\n" + training(3).dump() + "\n");
    EXPECT_EQ(message_of([&] { read_metrics(path); }),
              "[metrics] every line must be a JSON object with \"kind\" and \"step\": " + path +
                  ", line 2, is none")
        << line;
  }
  EXPECT_NE(message_of([&] { read_metrics(folder / "missing"); }).find("missing"), std::string::npos);
}

TEST(Metrics, AResumedRunKeepsWhatIsNotAfterItsStep) {
  std::vector<Record> all{evaluation(0), training(2), evaluation(2), training(4), evaluation(4)};
  EXPECT_EQ(up_to_step(all, 3), (std::vector<Record>{evaluation(0), training(2), evaluation(2)}));
  EXPECT_EQ(up_to_step(all, 2), (std::vector<Record>{evaluation(0), training(2), evaluation(2)}));
  EXPECT_EQ(up_to_step(all, 4), all);
  EXPECT_EQ(up_to_step(all, 0), std::vector<Record>{evaluation(0)});
}

TEST(Metrics, NoMoreThanTwoThousandRecords) {
  for (int64_t steps : {1, 2, 1999, 2000, 2001, 4000, 4001, 30000}) {
    int64_t records = 0;
    for (int64_t step = 1; step <= steps; ++step) records += is_record_due(step, steps);
    EXPECT_LE(records, 2000) << steps;
    EXPECT_GE(records, std::min<int64_t>(steps, 1000)) << steps;
  }
  EXPECT_TRUE(is_record_due(15, 30000));
  EXPECT_FALSE(is_record_due(16, 30000));
}

MeteredStep step(int64_t done, double loss, double accuracy, double scored) {
  return {done,
          1e-3 * static_cast<double>(done),
          static_cast<double>(done),
          100,
          2e9,
          {{"loss", loss * scored, scored}, {"accuracy", accuracy * scored, scored}}};
}

TEST(TrainingMeter, ARecordIsOfTheStepsSinceTheLastOne) {
  TrainingMeter meter(/*sgemm_gflops=*/8);
  EXPECT_TRUE(meter.empty());
  meter.add(0.5, step(1, 5, 0.1, 10));
  meter.add(1, step(2, 4, 0.4, 20));
  EXPECT_EQ(meter.record(), (Record{{"kind", "training"},
                                    {"step", 2},
                                    {"tokens", 200},
                                    {"seconds", 1.0},
                                    {"loss", (5.0 * 10 + 4 * 20) / 30},
                                    {"accuracy", (0.1 * 10 + 0.4 * 20) / 30},
                                    {"learning_rate", 2e-3},
                                    {"gradient_norm", 1.5},
                                    {"tokens_per_second", 200.0},
                                    {"share_of_sgemm", 0.5}}));
  EXPECT_TRUE(meter.empty());
  EXPECT_EQ(message_of([&] { meter.record(); }), "[metrics] a training record is of at least one step");
  meter.add(3, step(3, 3, 0.5, 10));
  EXPECT_FALSE(meter.empty());
  Record second = meter.record();
  EXPECT_EQ(second["loss"], 3.0);
  EXPECT_EQ(second["tokens"], 300);
  EXPECT_EQ(second["seconds"], 3.0);
  EXPECT_EQ(second["tokens_per_second"], 50.0);
  EXPECT_EQ(second["share_of_sgemm"], 1e-9 * 2e9 / 2 / 8);
}

TEST(TrainingMeter, AResumedRunCountsOn) {
  Record before = training(7);
  before["tokens"] = 1000;
  before["seconds"] = 50.0;
  TrainingMeter meter(8, {evaluation(0), before, evaluation(7)});
  meter.add(2, step(8, 3, 0.5, 10));
  Record record = meter.record();
  EXPECT_EQ(record["tokens"], 1100);
  EXPECT_EQ(record["seconds"], 52.0);
  EXPECT_EQ(record["tokens_per_second"], 50.0);
}

TEST(TrainingMeter, WhatIsNotFiniteIsNull) {
  TrainingMeter meter(8);
  meter.add(1, {1, 1e-3, INFINITY, 100, 2e9, {{"loss", NAN, 1}, {"nsp_accuracy", 0, 0}}});
  std::string line = meter.record().dump();
  for (const char* part : {"\"loss\":null", "\"nsp_accuracy\":null", "\"gradient_norm\":null"})
    EXPECT_NE(line.find(part), std::string::npos) << line;
}

std::vector<std::string> forms(const std::vector<ProgressPart>& parts, std::string ProgressPart::*form) {
  std::vector<std::string> texts;
  for (const ProgressPart& part : parts) texts.push_back(part.*form);
  return texts;
}

TEST(TrainingMeter, TheProgressOfOneLoss) {
  TrainingMeter meter(8);
  EXPECT_TRUE(meter.progress().empty());
  meter.add(1, step(1, 2.5, 0.25, 10));
  EXPECT_EQ(forms(meter.progress(), &ProgressPart::full),
            (std::vector<std::string>{"loss 2.500  accuracy 0.250", "100 tokens/s, 25 % of sgemm",
                                      "learning rate 1.0e-3", "gradient norm 1.00"}));
  EXPECT_EQ(forms(meter.progress(), &ProgressPart::brief),
            (std::vector<std::string>{"loss 2.500 25%", "100 tok/s 25%", "lr 1.0e-3", "|g| 1.00"}));
}

TEST(TrainingMeter, TheProgressOfTwoHasThemApart) {
  TrainingMeter meter(8);
  for (double now : {1, 2})
    meter.add(now, {1,
                    2.5e-5,
                    0.521,
                    12345,
                    1e9,
                    {{"loss", 2.346, 1},
                     {"mlm_loss", 16.53, 10},
                     {"accuracy", 4, 10},
                     {"nsp_loss", 2.772, 4},
                     {"nsp_accuracy", 3, 4}}});
  EXPECT_EQ(forms(meter.progress(), &ProgressPart::brief),
            (std::vector<std::string>{"mlm 1.653 40%", "nsp 0.693 75%", "12.3k tok/s 12%", "lr 2.5e-5",
                                      "|g| 0.52"}));
}

// What grows in a folder while a run goes on, and where it is when the run is resumed.
class RunLogTest : public testing::Test {
 protected:
  const std::string& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;

 protected:
  std::string metrics_ = folder_ / "unfinished-metrics.jsonl", report_ = folder_ / "unfinished-report.html";
};

TEST_F(RunLogTest, GrowsWithEachRecordAndGoesWithARunThatTrainedNothing) {
  {
    ModelFolder folder(path(), false);
    folder.begin();
    RunLog log(folder, {"Test", 4, {}}, false);
    EXPECT_FALSE(std::filesystem::exists(metrics_));
    std::string text;
    for (const Record& record : {evaluation(0), training(1), training(2), evaluation(2)}) {
      log.add(record);
      text += record.dump() + "\n";
      EXPECT_EQ(read_file(metrics_), text);
      EXPECT_EQ(std::filesystem::exists(report_), true);
    }
    EXPECT_NE(read_file(report_).find("Step 2 of 4"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(path() + "/tensorboard"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(path()));
}

TEST_F(RunLogTest, AResumedRunGoesOnWithoutDoubledSteps) {
  std::vector<Record> all{evaluation(0), training(1), training(2), training(3)};
  std::string text;
  for (const Record& record : all) text += record.dump() + "\n";
  write(metrics_, text + "{\"kind\":\"trai");  // as a killed run left it
  std::vector<Record> kept = up_to_step(read_metrics(metrics_), 2);
  ModelFolder folder(path(), false);
  folder.begin();
  RunLog log(folder, {"Test", 4, {}}, false, kept, 2);
  log.add(training(3));
  log.add(training(4));
  all.push_back(training(4));
  EXPECT_EQ(read_metrics(metrics_), all);
}

// Before the training begins nothing is written, since a signal would leave it behind.
TEST_F(RunLogTest, NothingIsWrittenBeforeTheTraining) {
  ModelFolder folder(path(), false);
  folder.add_metrics("{}\n");
  folder.write_report("<p>");
  EXPECT_TRUE(std::filesystem::is_empty(path()));
  folder.begin();
  EXPECT_EQ(read_file(metrics_), "{}\n");
  EXPECT_EQ(read_file(report_), "<p>");
  folder.sync_metrics();
}

// Half a line of a full disk is made good by the next one.
TEST_F(RunLogTest, WhatCouldNotBeWrittenIsWrittenLater) {
  ModelFolder folder(path(), false);
  folder.begin();
  folder.add_metrics("1\n");
  std::filesystem::remove(metrics_);
  std::filesystem::create_directory(metrics_);  // takes the file's place
  testing::internal::CaptureStderr();
  folder.add_metrics("2\n");
  folder.add_metrics("3\n");
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("Note: [write] can't write '" + metrics_ + "'"), std::string::npos) << said;
  std::filesystem::remove(metrics_);
  folder.add_metrics("4\n");
  EXPECT_EQ(read_file(metrics_), "1\n2\n3\n4\n");
}

TEST_F(RunLogTest, EventFilesAreMadeOnDemand) {
  ModelFolder folder(path(), false);
  folder.begin();
  RunLog log(folder, {"Test", 4, {}}, true);
  log.add(training(1));
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path() + "/tensorboard")) {
    EXPECT_NE(read_file(entry.path()).find("training/loss"), std::string::npos);
    ++files;
  }
  EXPECT_EQ(files, 1u);
}

}  // namespace
}  // namespace bertie
