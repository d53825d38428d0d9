// What pre-training learns from: masked words, and, with pairs of segments, whether the second follows the
// first.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/batches/batch_stream.h"
#include "bertie/models/bert_heads.h"
#include "bertie/nn/objective.h"

namespace bertie {

// Sums over a step. Losses are −log p of what is true, in nats.
struct PretrainingSums {
  int64_t tokens = 0, scored = 0, scored_right = 0;
  double mlm_loss = 0;                 // over the scored tokens
  int64_t pairs = 0, pairs_right = 0;  // 0 without next-sentence prediction
  double nsp_loss = 0;                 // over the pairs

  // MLM's mean and NSP's, as the model's loss adds them.
  double loss() const {
    return (scored > 0 ? mlm_loss / static_cast<double>(scored) : 0) +
           (pairs > 0 ? nsp_loss / static_cast<double>(pairs) : 0);
  }
};
// Of all parts, added up in their order.
PretrainingSums sum_of(const std::vector<PretrainingSums>& parts);

class PretrainingObjective : public Objective {
 public:
  struct Options {
    uint64_t seed = 0;  // of dropout
    int64_t parts = 1;  // that a step's batch is cut into (data/batches/batch_parts.h); some may be empty
  };
  // MLM alone, or with NSP, for which the source must give next_sentence_labels. Model and source must
  // outlive this, and nobody else may use the source meanwhile.
  PretrainingObjective(const BertForMaskedLM& model, BatchSource& source, const Options& options);
  PretrainingObjective(const BertForPreTraining& model, BatchSource& source, const Options& options);

  int64_t begin_step(int64_t step) override;
  Tensor loss(int64_t part) override;

  const std::vector<MaskedBatch>& parts() const { return parts_; }  // of the step that has begun
  // Of the parts whose loss() was asked for since begin_step(); of each, 0 of the others.
  PretrainingSums sums() const { return sum_of(sums_of_parts_); }
  const std::vector<PretrainingSums>& sums_of_parts() const { return sums_of_parts_; }
  // Where the batch of the step that has begun lies in the data.
  DataPosition step_position() const { return step_position_; }

  // The place in the data of the next step's batch, as text, and how to continue there: the batches that
  // follow are those of an undisturbed run. Throws where the text is none that state() gave.
  std::string state() const override;
  void restore(const std::string& state) override;

  std::string data_of(int64_t part) const override;

 private:
  PretrainingObjective(BatchSource& source, const Options& options) : source_(source), options_(options) {}

  const BertForMaskedLM* masked_lm_ = nullptr;  // one of the two
  const BertForPreTraining* pretraining_ = nullptr;
  BatchSource& source_;
  Options options_;
  DataPosition start_, step_position_;
  std::optional<BatchStream> stream_;  // from the first step on
  uint64_t step_ = 0;
  std::vector<MaskedBatch> parts_;
  double scored_ = 0, sequences_ = 0;  // of the whole step
  std::vector<PretrainingSums> sums_of_parts_;
};

}  // namespace bertie
