// How good is a masked language model, and how well does it tell the next sentence? Scores on fixed maskings
// of held-out text, beside what needs no model.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bertie/data/batches/mlm_batches.h"
#include "bertie/models/bert_heads.h"
#include "bertie/nn/processes.h"

namespace bertie {

// Sums over scored positions. "Hidden" ones show [MASK]: there, unlike where the true word was left in place,
// nothing but the context tells.
struct MlmScore {
  int64_t scored = 0, hidden = 0;
  double loss = 0, hidden_loss = 0;  // mean −log p(true word), nats
  double accuracy = 0;               // share of scored positions where the true word has the largest p
};

// Whether segment B follows A: mean −log p(true label) in nats, and the share of pairs where that has the
// larger p.
struct NextSentenceScore {
  int64_t pairs = 0;
  double loss = 0, accuracy = 0;
};

struct PretrainingScore {
  MlmScore mlm;
  NextSentenceScore next_sentence;
};

// log p [M, V] of every word at the scored positions of a batch. The model must be in eval mode.
Array log_probabilities(const BertForMaskedLM& model, const MaskedBatch& batch);

// The model must be in eval mode. `after_batch` is told how many batches are done. Where there are processes,
// this is everyone's (nn/processes.h): they share the batches, and each gets the score that one alone would.
MlmScore evaluate(const BertForMaskedLM& model, std::span<const MaskedBatch> batches, int32_t mask_id,
                  const std::function<void(int64_t done)>& after_batch = {}, Processes* processes = nullptr);
// The same of batches with next_sentence_labels, which the model is scored on, too.
PretrainingScore evaluate(const BertForPreTraining& model, std::span<const MaskedBatch> batches,
                          int32_t mask_id, const std::function<void(int64_t done)>& after_batch = {},
                          Processes* processes = nullptr);

// p(word) = (its count in the training text + 1) / (number of tokens + number of ordinary words).
class UnigramModel {
 public:
  UnigramModel(const TokenizedLines& training, const std::vector<bool>& ordinary);
  MlmScore evaluate(std::span<const MaskedBatch> batches, int32_t mask_id) const;
  const std::vector<double>& log_probability() const { return log_probability_; }  // of each id

 private:
  std::vector<double> log_probability_;  // per id
  int32_t most_frequent_;
};

// Batches of at least `scored` scored positions, fixed ones, in which every part of the held-out text has its
// share: sequences drawn evenly from all of it (MlmBatches::spread_pass), or, where half of it wouldn't be
// enough, all, in as many whole passes (maskings number 0, 1, …) as it takes, at most 64.
std::vector<MaskedBatch> evaluation_batches(const MlmBatches& held_out, int64_t scored);

// Batches of at least `scored` scored positions, fixed ones, of any source: the first of pass 0, then those
// of pass 1, …, at most 64. Where passes are shuffled, as those of pairs are, they come from all of the text.
std::vector<MaskedBatch> evaluation_batches(BatchSource& held_out, int64_t scored);

// How much of the held-out text they score: "5012 positions in 1301 of 40000 sequences", "960 positions in
// all 12 sequences, masked 64 times".
std::string coverage(std::span<const MaskedBatch> batches, const MlmBatches& held_out);

// The control: hidden positions and their true words stay; all other tokens come from another sequence of the
// same length. A model that reads its context gains nothing here over the unigram model. Only hidden
// positions of sequences that have such a partner are scored; batches without one are left out.
std::vector<MaskedBatch> with_foreign_context(std::span<const MaskedBatch> batches,
                                              const TokenizedLines& lines, int32_t mask_id);

}  // namespace bertie
