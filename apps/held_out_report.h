// What bert_pretrain tells of a model on held-out text, for people on standard error, for programs as an
// object.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/models/mlm_evaluation.h"

namespace bertie {

class HeldOutReport {
 public:
  // `is_language`: the held-out lines are as language() makes them and masked word by word, so that the best
  // possible score is known. All but `training` must outlive this.
  HeldOutReport(const TokenizedLines& training, const MlmBatches& held_out, const std::vector<bool>& scorable,
                const Tokenizer& tokenizer, bool is_language);

  // Scores the model, which it sets to eval mode and back. The last one also compares with the best possible
  // score or, where that isn't known, has the control.
  nlohmann::ordered_json run(BertForMaskedLM& model, int64_t step, bool last);

 private:
  void compare_with_best(const BertForMaskedLM& model, nlohmann::ordered_json& record);
  void run_control(const BertForMaskedLM& model, const MlmScore& score, nlohmann::ordered_json& record);

  const MlmBatches& held_out_;
  const Tokenizer& tokenizer_;
  bool is_language_;
  int32_t mask_id_;
  std::vector<MaskedBatch> batches_, control_;
  UnigramModel unigram_;
  MlmScore unigram_score_;
};

}  // namespace bertie
