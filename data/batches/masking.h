// Masked language modeling (Devlin et al., "BERT", 2019, section 3.1): some tokens are hidden, and the model
// is scored on them.
#pragma once
#include <cstdint>
#include <vector>

#include "bertie/data/batches/batching.h"

namespace bertie {

struct MaskedBatch {
  TokenBatch tokens;                // with corrupted ids
  Array scored_rows;                // [M] i64, ascending indices into the T tokens
  Array labels;                     // [M] i32, the true ids there
  Array next_sentence_labels = {};  // [N] i32, or none: 0 where segment B follows A, 1 where it is random
};

// For each id: true where it is none of the special tokens. A caller may clear further ones for Masking.
std::vector<bool> ordinary_tokens(const Vocabulary& vocabulary);

// Draws the masks. Each ordinary token is scored with probability 0.15, independently of the others. A scored
// one becomes [MASK] with probability 0.8, an ordinary token drawn uniformly (perhaps the true one) with 0.1,
// and stays with 0.1. Other tokens are neither scored nor changed nor put in another's place.
class Masking {
 public:
  static constexpr double scored = 0.15, hidden = 0.8, replaced = 0.1;

  // Throws where mask_id is no id of `ordinary`, or none is ordinary.
  Masking(std::vector<bool> ordinary, int32_t mask_id, uint64_t seed);

  // Every pass draws anew. What happens to a token is a function of (seed, pass, number of its sequence,
  // position in it) alone, however sequences are put into batches, with one exception: a batch without any
  // scored token, which no mean loss is defined for, is drawn again. Throws where the batch has no ordinary
  // token, so that drawing again couldn't help, or an id is out of range.
  MaskedBatch mask(TokenBatch batch, int64_t pass) const;

  bool is_ordinary(int32_t id) const;  // throws where there is no such id

 private:
  std::vector<bool> ordinary_;
  std::vector<int32_t> ordinary_ids_;
  int32_t mask_id_;
  uint64_t seed_;
};

}  // namespace bertie
