// Pairs of segments for next-sentence prediction (Devlin et al., "BERT", 2019, sections 3.1 and A.2).
#pragma once
#include <cstdint>
#include <vector>

#include "bertie/data/batches/batch_source.h"

namespace bertie {

struct PairOptions {
  int64_t max_length = 128;     // tokens of a pair, [CLS] and both [SEP] included; 5 … 65536
  double short_seq_prob = 0.1;  // share of pairs that are gathered up to a random smaller length
  bool single_lines = false;    // each segment is one line, whatever its length
};

// Segment A is a_size tokens of consecutive lines, from token a_skip of line a_line on; so is B. 32 bytes,
// since there are millions.
struct SentencePair {
  int64_t a_line, b_line;
  int32_t a_skip, b_skip;
  uint16_t a_size, b_size;
  bool random;  // B is from another document; else it follows A

  int64_t length() const { return int64_t{3} + a_size + b_size; }  // [CLS] A [SEP] B [SEP]
};

// The pairs of a pass, in the order of the text; a function of (text, options, seed, pass). As BERT's own
// preparation does it: within a document, consecutive lines are gathered up to the wanted length and cut at a
// random line into A and B; or B comes from a random place of a random other document, and the lines it
// replaces are gathered again. What is longer than max_length loses tokens at either end of the longer
// segment.
//
// Half of the labels are random, but for a few pairs: unlike there, at least two lines are gathered where the
// document has them, and where it has only one left, so that B must be random, the others are random the less
// often. (Of documents of few lines, or of long lines, far more than half would be random there.) Only where
// most documents have a single line can't that be had.
//
// Throws where the lines are fewer than two documents, none has two lines, one has none, or a line has no
// token; or on a bad option.
std::vector<SentencePair> plan_pairs(const TokenizedLines& lines, const PairOptions& options, uint64_t seed,
                                     int64_t pass);

// Masked batches of such pairs, with token_type_ids and next_sentence_labels, filled by a budget of tokens in
// an order of its own for each pass. A sequence's number is its pair's place in plan_pairs(). A batch in
// which no token can be scored has no scored rows.
class PairBatches : public BatchSource {
 public:
  // Throws where batch_tokens is below 1 and where plan_pairs() does. The vocabulary must outlive this.
  PairBatches(TokenizedLines lines, const Vocabulary& vocabulary, Masking masking, const PairOptions& options,
              int64_t batch_tokens, uint64_t seed);

  int64_t begin_pass(int64_t pass) override;
  MaskedBatch batch(int64_t index) const override;

  // Of the pass that was begun last.
  const std::vector<SentencePair>& pairs() const { return pairs_; }

 private:
  TokenizedLines lines_;
  const Vocabulary& vocabulary_;
  Masking masking_;
  PairOptions options_;
  int64_t batch_tokens_;
  uint64_t seed_;
  int64_t pass_ = 0;
  std::vector<SentencePair> pairs_;
  BatchPlan plan_;
};

}  // namespace bertie
