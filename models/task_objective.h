// What fine-tuning learns from: sequences of a task, and what is true of each (data/tasks).
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "bertie/data/tasks/task_batches.h"
#include "bertie/models/bert_heads.h"
#include "bertie/nn/objective.h"
#include "bertie/nn/processes.h"

namespace bertie {

// What the head says of a batch: of each sequence [N, L], of each token [T, L], or, with answers, of each
// token [T, 2] whether the answer begins and whether it ends there.
Tensor task_logits(const BertForSequenceClassification& model, const BertInput& input);
Tensor task_logits(const BertForTokenClassification& model, const BertInput& input);
Tensor task_logits(const BertForQuestionAnswering& model, const BertInput& input);

// How many losses a batch's mean is over, with labels as TaskSequences has them: sequences, or, of several
// labels, all of theirs, or, of tags, tokens that have one. What `denominator` is of the whole step. Throws
// where there are no labels.
double losses_in(const Array& labels);

// The sum of the batch's losses over the denominator (models/bert_heads.h tells them).
Tensor task_loss(const BertForSequenceClassification& model, const Tensor& logits, const Packing& packing,
                 const Array& labels, double denominator);
Tensor task_loss(const BertForTokenClassification& model, const Tensor& logits, const Packing& packing,
                 const Array& labels, double denominator);
Tensor task_loss(const BertForQuestionAnswering& model, const Tensor& logits, const Packing& packing,
                 const Array& labels, double denominator);

class TaskObjective : public Objective {
 public:
  struct Options {
    int64_t batch_size = 32;  // sequences of a step
    uint64_t seed = 0;        // of order and dropout
    int64_t parts = 1;        // that a step's batch is cut into; some may be empty
  };
  // Any of the three models above. Model and data must outlive this. Throws where the data has no labels, or
  // no sequence.
  template <class Model>
  TaskObjective(const Model& model, const TaskSequences& data, const Options& options)
      : TaskObjective(data, options) {
    part_loss_ = [&model](const BertInput& input, const Array& labels, double denominator) {
      return task_loss(model, task_logits(model, input), input.pass.packing, labels, denominator);
    };
  }

  int64_t steps_per_epoch() const { return steps_.steps_per_epoch(); }

  int64_t begin_step(int64_t step) override;
  Tensor loss(int64_t part) override;
  std::string data_of(int64_t part) const override;

  const std::vector<TaskBatch>& parts() const { return parts_; }  // of the step that has begun

 private:
  TaskObjective(const TaskSequences& data, const Options& options);

  const TaskSequences& data_;
  Options options_;
  TaskSteps steps_;
  std::function<Tensor(const BertInput&, const Array& labels, double denominator)> part_loss_;
  uint64_t step_ = 0;
  double denominator_ = 0;  // of the whole step
  std::vector<TaskBatch> parts_;
};

// The logits of all sequences, in the data's order: [n, L], or, of tokens, [T, L] or [T, 2]. The model must
// be in eval mode. Like lengths are computed together, at most batch_tokens tokens at a time; `after_batch`
// is told how many sequences are done. Where there are processes, this is everyone's (nn/processes.h): they
// share the batches, and each gets all logits, with the bits that one alone would get.
using LogitsOfBatch = std::function<Tensor(const BertInput&)>;
Array predict_logits(const LogitsOfBatch& logits_of, const TaskSequences& data, int64_t batch_tokens,
                     const std::function<void(int64_t done)>& after_batch, Processes* processes);
template <class Model>
Array predict_logits(const Model& model, const TaskSequences& data, int64_t batch_tokens = 4096,
                     const std::function<void(int64_t done)>& after_batch = {},
                     Processes* processes = nullptr) {
  LogitsOfBatch logits_of = [&](const BertInput& input) { return task_logits(model, input); };
  return predict_logits(logits_of, data, batch_tokens, after_batch, processes);
}

// The mean loss of the data with such logits; 0 of tags where no token has one. Throws where the data has no
// labels.
template <class Model>
double mean_task_loss(const Model& model, const TaskSequences& data, const Array& logits) {
  return task_loss(model, logits, {data.offsets}, data.labels, std::max(losses_in(data.labels), 1.0)).item();
}

}  // namespace bertie
