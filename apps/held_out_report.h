// What bert_pretrain tells of a model on held-out text, for people on standard error, for programs as an
// object.
#pragma once
#include <type_traits>

#include "apps/run/metrics.h"
#include "bertie/data/batches/sentence_pairs.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/models/mlm_evaluation.h"

namespace bertie {

// Of a BertForMaskedLM on lines, or a BertForPreTraining on pairs of segments.
template <class Model>
class HeldOutReport {
 public:
  using Batches = std::conditional_t<std::is_same_v<Model, BertForPreTraining>, PairBatches, MlmBatches>;

  // `is_language`: the held-out lines are as language() makes them and masked word by word, so that the best
  // possible score is known. At most `part_tokens` tokens are computed at a time, or a sequence. Processes
  // share the work of those reports that they make of the same text and with the same `part_tokens`, so run()
  // is everyone's (nn/processes.h), and all get the same records. All but `training` must outlive this.
  HeldOutReport(const TokenizedLines& training, const TokenizedLines& lines, Batches& held_out,
                const std::vector<bool>& scorable, const Tokenizer& tokenizer, bool is_language,
                int64_t part_tokens, Processes* processes = nullptr);

  // Scores the model, which it sets to eval mode and back. The last one also compares with the best possible
  // score or, where that isn't known and there are no pairs, has the control.
  Record run(Model& model, int64_t step, bool last);

 private:
  void compare_with_best(const Model& model, Record& record);
  void run_control(const Model& model, const MlmScore& score, Record& record);

  Batches& held_out_;
  const Tokenizer& tokenizer_;
  bool is_language_;
  int64_t part_tokens_;
  Processes* processes_;
  int32_t mask_id_;
  std::vector<MaskedBatch> batches_, control_;
  UnigramModel unigram_;
  MlmScore unigram_score_;
};

}  // namespace bertie
