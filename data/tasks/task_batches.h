// Batches of a task's sequences: for training by their number, for prediction by like lengths.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bertie/data/batches/batching.h"
#include "bertie/data/tasks/task_sequences.h"

namespace bertie {

struct TaskBatch {
  TokenBatch tokens;  // token_type_ids: none where all are 0
  Array labels;       // as TaskSequences::labels, of these sequences (or of their tokens) alone
};

// The batch of these sequences, in this order. Throws where there is none or one doesn't exist.
TaskBatch make_batch(const TaskSequences& data, std::span<const int64_t> sequences);

// Which sequences each step of training takes: a function of (data, batch_size, seed, step) alone.
class TaskSteps {
 public:
  // Throws where there is no sequence or batch_size is below 1.
  TaskSteps(int64_t sequences, int64_t batch_size, uint64_t seed);

  int64_t steps_per_epoch() const;  // ⌈sequences / batch_size⌉: the last batch of an epoch may be smaller
  // Those of step 0, 1, …: step s is batch s mod steps_per_epoch() of epoch s / steps_per_epoch(), and each
  // epoch has every sequence once, in an order of its own. Holds until the next call, which in the same epoch
  // costs nothing. One thread at a time may call it.
  std::span<const int64_t> sequences(int64_t step);

 private:
  int64_t sequences_, batch_size_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;  // of that epoch
};

// The step's batch in its logical parts (plan_parts() of data/batches/batching.h), which know their place in
// the step (TokenBatch::first_sequence). An empty part has no labels.
std::vector<TaskBatch> make_parts(const TaskSequences& data, std::span<const int64_t> sequences,
                                  int64_t parts);

// All sequences, like lengths together, the longest first, in batches of at most batch_tokens tokens (or of
// one sequence). TokenBatch::sequences tells whose results are whose, so that they can be put in the data's
// order.
BatchPlan plan_like_lengths(const TaskSequences& data, int64_t batch_tokens);

}  // namespace bertie
