#include "apps/task.h"

#include <gtest/gtest.h>

#include "tests/data/tasks/small_tokenizer.h"
#include "tests/data/tasks/written_file.h"
#include "tests/message_of.h"
#include "tests/standard_input_of.h"

namespace bertie {
namespace {

TaskOptions options_of(const std::string& train, const std::string& dev) {
  TaskOptions options;
  options.train = {train};
  options.dev = {dev};
  return options;
}

std::string rows_of_labels(int64_t labels) {
  std::string rows;
  for (int64_t label = 0; label < labels; ++label) rows += "a\t" + std::to_string(label) + "\n";
  return rows;
}

// What so many labels are taken for isn't a table that can be shown: 10,000 would have 100 million fields.
TEST(TextTask, ThousandsOfLabelsHaveNoTable) {
  for (int64_t labels : {200, 201}) {
    WrittenFile file("a.tsv", rows_of_labels(labels));
    TaskOptions options = options_of(file.path(), file.path());
    TextTask task(options);
    task.encode(small_tokenizer(), 16);
    Record details = task.details(Array::zeros({labels, labels}, DType::f32));
    EXPECT_EQ(details.contains("confusion"), labels == 200);
    EXPECT_EQ(details["hardest"].size(), 20u);
  }
}

// Probabilities are 0 and 1 there, to all digits.
TEST(TextTask, TheLossOfASureModelIsFinite) {
  WrittenFile file("a.tsv", "a\tx\nb\ty\n");
  TaskOptions options = options_of(file.path(), file.path());
  options.table.labels = LabelKind::several;
  TextTask task(options);
  task.encode(small_tokenizer(), 16);
  Record hardest = task.details(Array::from(std::vector<float>{100, -100, 100, -100}, {2, 2}))["hardest"];
  EXPECT_EQ(hardest[0]["text"], "b");
  EXPECT_EQ(hardest[0]["predicted"], "x");
  EXPECT_EQ(hardest[0]["loss"], 200);
  EXPECT_NEAR(hardest[1]["loss"].get<double>(), 0, 1e-40);
}

TEST(TextTask, ReadsAPipeOnce) {
  WrittenFile dev("a.tsv", "a\tx\n");
  StandardInputOf input("a\tx\nb\ty\n", 0);
  TaskOptions options = options_of("-", dev.path());
  TextTask task(options);
  task.encode(small_tokenizer(), 16);
  EXPECT_EQ(task.training().size(), 2);
  EXPECT_EQ(task.dev().size(), 1);
}

TEST(AnswerTask, HasWindowsThatOverlapAtAnyLength) {
  TaskOptions options;
  for (auto [length, shared] : {std::pair{512, 128}, {384, 128}, {128, 42}, {8, 2}}) {
    EXPECT_EQ(window_options(options, length).stride, shared);
    EXPECT_EQ(window_options(options, length).max_length, length);
  }
  options.stride = 0;
  EXPECT_EQ(window_options(options, 128).stride, 0);
}

TEST(AnswerTask, NeedsAnAnswerInItsPlace) {
  WrittenFile file("a.json", R"({"data": [{"paragraphs": [{"context": "a b c", "qas": [
      {"id": "1", "question": "a", "answers": [{"text": "b", "answer_start": 0}]}]}]}]})");
  TaskOptions options = options_of(file.path(), file.path());
  options.stride = 2;
  AnswerTask task(options);
  EXPECT_EQ(message_of([&] { task.encode(small_tokenizer(), 16); }),
            "[fine-tune] no question of --train has an answer where the file says it is: there is nothing to "
            "learn");
}

}  // namespace
}  // namespace bertie
