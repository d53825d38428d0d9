// Batches for masked language modeling from tokenized text.
#pragma once
#include "bertie/data/batches/batch_source.h"

namespace bertie {

class MlmBatches : public BatchSource {
 public:
  // Sequences without a token that can be scored are left out. Throws where no other is left, or where
  // batch_tokens is below 1. The vocabulary must outlive this.
  MlmBatches(TokenizedLines lines, const Vocabulary& vocabulary, Masking masking, int64_t batch_tokens,
             uint64_t seed);

  // The batches of a pass: every sequence once, in an order of its own for each pass.
  BatchPlan shuffled_pass(int64_t pass) const;
  // Every sequence once, in the order of the text: for evaluation.
  BatchPlan ordered_pass() const;
  // So many of them, evenly from all of the text: one drawn from each of as many stretches of equal length,
  // in the order of the text. The same ones each time. Throws where there are fewer, or `count` is below 1.
  BatchPlan spread_pass(int64_t count) const;

  int64_t begin_pass(int64_t pass) override;  // the shuffled one
  MaskedBatch batch(int64_t index) const override;
  // The batch of these sequences (plan[b]), masked as pass number `pass` masks it.
  MaskedBatch batch(std::span<const int64_t> sequences, int64_t pass) const;

  const TokenizedLines& lines() const { return lines_; }
  const Masking& masking() const { return masking_; }
  int64_t sequences() const { return static_cast<int64_t>(usable_.size()); }  // that can be scored
  int64_t tokens_per_pass() const { return tokens_; }           // of these; [CLS] and [SEP] counted
  int64_t scorable_tokens() const { return scorable_tokens_; }  // those that may be scored

 private:
  TokenizedLines lines_;
  const Vocabulary& vocabulary_;
  Masking masking_;
  int64_t batch_tokens_;
  uint64_t seed_;
  std::vector<int64_t> usable_;  // numbers of the sequences that can be scored
  int64_t tokens_ = 0, scorable_tokens_ = 0;
  BatchPlan plan_;  // of the pass that was begun last
  int64_t pass_ = 0;
};

}  // namespace bertie
