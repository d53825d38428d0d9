#include "bertie/data/tasks/task_batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/message_of.h"

namespace bertie {
namespace {

using Ids = std::vector<int32_t>;
using Numbers = std::vector<int64_t>;

// Sequences [CLS] [SEP], [CLS] 10 [SEP] 11 [SEP], [CLS] 12 [SEP].
TaskSequences three() {
  TaskSequences data;
  data.add(Ids{2, 3}, 2, 0);
  data.add(Ids{2, 10, 3, 11, 3}, 3, 0);
  data.add(Ids{2, 12, 3}, 3, 1);
  return data;
}

TEST(TaskBatches, HoldTheSequencesThatAreAskedFor) {
  TaskBatch batch = make_batch(three(), Numbers{2, 1});
  EXPECT_EQ(batch.tokens.ids.to_vector<int32_t>(), (Ids{2, 12, 3, 2, 10, 3, 11, 3}));
  EXPECT_EQ(batch.tokens.token_type_ids.to_vector<int32_t>(), (Ids{0, 0, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(batch.tokens.offsets, (Numbers{0, 3, 8}));
  EXPECT_EQ(batch.tokens.sequences, (Numbers{2, 1}));
  EXPECT_EQ(batch.tokens.first_sequence, 0);
  EXPECT_FALSE(batch.labels);
  EXPECT_FALSE(make_batch(three(), Numbers{0, 2}).tokens.token_type_ids);
  EXPECT_EQ(message_of([] { make_batch(three(), Numbers{}); }),
            "[task] a batch must have at least one sequence, got none");
  EXPECT_EQ(message_of([] { make_batch(three(), Numbers{3}); }),
            "[task] there are 3 sequences, asked for number 3");
}

TEST(TaskBatches, HaveTheLabelsOfTheirSequences) {
  TaskSequences data = three();
  data.labels = Array::from(Ids{7, 8, 9});
  EXPECT_EQ(make_batch(data, Numbers{2, 0}).labels.to_vector<int32_t>(), (Ids{9, 7}));
  data.labels = Array::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2});
  TaskBatch batch = make_batch(data, Numbers{2, 1});
  EXPECT_EQ(batch.labels.shape(), Shape({2, 2}));
  EXPECT_EQ(batch.labels.to_vector<float>(), (std::vector<float>{5, 6, 3, 4}));
  data.labels = Array::from(Ids{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});  // of tokens
  EXPECT_EQ(make_batch(data, Numbers{2, 0}).labels.to_vector<int32_t>(), (Ids{7, 8, 9, 0, 1}));
}

TEST(TaskBatches, ComeInPartsThatKnowTheirPlace) {
  TaskSequences data = three();
  data.labels = Array::from(Ids{7, 8, 9});
  std::vector<TaskBatch> parts = make_parts(data, Numbers{0, 2, 1}, 2);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].tokens.sequences, (Numbers{0, 2}));
  EXPECT_EQ(parts[1].tokens.sequences, Numbers{1});
  EXPECT_EQ(parts[1].tokens.first_sequence, 2);
  EXPECT_EQ(parts[0].labels.to_vector<int32_t>(), (Ids{7, 9}));
  EXPECT_EQ(make_parts(data, Numbers{0, 2, 1}, 1)[0].labels.to_vector<int32_t>(), (Ids{7, 9, 8}));
  std::vector<TaskBatch> some_empty = make_parts(data, Numbers{0, 2}, 5);
  ASSERT_EQ(some_empty.size(), 5u);
  int64_t sequences = 0;
  for (const TaskBatch& part : some_empty) {
    EXPECT_EQ(part.tokens.first_sequence, sequences);
    EXPECT_EQ(std::ssize(part.tokens.offsets), std::ssize(part.tokens.sequences) + 1);
    EXPECT_EQ(static_cast<bool>(part.labels), !part.tokens.sequences.empty());
    sequences += std::ssize(part.tokens.sequences);
  }
  EXPECT_EQ(sequences, 2);
}

TEST(TaskSteps, TakeEverySequenceOnceInAnEpoch) {
  TaskSteps steps(10, 4, 1);
  ASSERT_EQ(steps.steps_per_epoch(), 3);
  std::set<Numbers> orders;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    Numbers order;
    for (int64_t batch = 0; batch < 3; ++batch) {
      auto sequences = steps.sequences(epoch * 3 + batch);
      EXPECT_EQ(sequences.size(), batch < 2 ? 4u : 2u);
      order.insert(order.end(), sequences.begin(), sequences.end());
    }
    orders.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (Numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  EXPECT_EQ(orders.size(), 5u);
}

TEST(TaskSteps, AreAFunctionOfTheirNumber) {
  auto step = [](int64_t number, uint64_t seed) {
    TaskSteps steps(1000, 32, seed);
    auto sequences = steps.sequences(number);
    return Numbers(sequences.begin(), sequences.end());
  };
  TaskSteps steps(1000, 32, 1);
  for (int64_t number : {70, 3, 71, 0, 31, 32})
    EXPECT_TRUE(std::ranges::equal(steps.sequences(number), step(number, 1)));
  EXPECT_NE(step(0, 1), step(0, 2));
  EXPECT_NE(step(0, 1), step(32, 1));
  Numbers expected(1000);
  for (int64_t i = 0; i < 1000; ++i) expected[i] = i;
  expected = shuffled(expected, 1, 2);  // of epoch 2, the 7th batch
  EXPECT_EQ(step(2 * 32 + 6, 1), Numbers(expected.begin() + 192, expected.begin() + 224));
}

TEST(TaskSteps, RefuseWhatTheyCannotDo) {
  EXPECT_EQ(message_of([] { TaskSteps(0, 4, 1); }),
            "[task] there must be at least one sequence to train on, got 0");
  EXPECT_EQ(message_of([] { TaskSteps(4, 0, 1); }),
            "[task] the batch size must be at least 1 sequence, got 0");
  EXPECT_EQ(message_of([] { TaskSteps(4, 1, 1).sequences(-1); }), "[task] steps are counted from 0, got -1");
  EXPECT_EQ(TaskSteps(4, INT64_MAX, 1).steps_per_epoch(), 1);
  EXPECT_EQ(TaskSteps(4, 4, 1).steps_per_epoch(), 1);
}

TEST(TaskBatches, PutLikeLengthsTogether) {
  BatchPlan plan = plan_like_lengths(three(), 5);
  EXPECT_EQ(plan.order, (Numbers{1, 2, 0}));
  EXPECT_EQ(plan.offsets, (Numbers{0, 1, 3}));
  EXPECT_EQ(plan_like_lengths(TaskSequences(), 5).size(), 0);
}

}  // namespace
}  // namespace bertie
