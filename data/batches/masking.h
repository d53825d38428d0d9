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
// For each id: true where it continues a word ("##s").
std::vector<bool> continuing_tokens(const Vocabulary& vocabulary);

struct MaskingOptions {
  static constexpr double usual_probability = 0.15;
  double probability = usual_probability;  // of a token to be scored, 0.01 … 1
  // Whole-word masking (google-research/bert): of each id whether it continues a word. A word is an ordinary
  // token and the ordinary tokens after it that continue it. Empty: each token is its own word.
  std::vector<bool> continues_word = {};
};

// Draws the masks. Each word, so each ordinary token, is scored with the same probability, independently of
// the others. A scored token becomes [MASK] with probability 0.8, an ordinary token drawn uniformly (perhaps
// the true one) with 0.1, and stays with 0.1, each of a word by a draw of its own. Other tokens are neither
// scored nor changed nor put in another's place.
class Masking {
 public:
  // The default text's best scores (data/language) hold for this probability and without whole words.
  static constexpr double scored = MaskingOptions::usual_probability;
  static constexpr double hidden = 0.8, replaced = 0.1;

  // Throws where mask_id is no id of `ordinary`, or none is ordinary, or on a bad option.
  Masking(std::vector<bool> ordinary, int32_t mask_id, uint64_t seed, MaskingOptions options = {});

  // Every pass draws anew. What happens to a token is a function of (seed, pass, number of its sequence,
  // position in it) alone, and of where its word begins, however sequences are put into batches, with one
  // exception: a batch without any scored token, which no mean loss is defined for, is drawn again. Throws
  // where the batch has no ordinary token, so that drawing again couldn't help, or an id is out of range.
  MaskedBatch mask(TokenBatch batch, int64_t pass) const;

  bool is_ordinary(int32_t id) const;  // throws where there is no such id
  double probability() const { return options_.probability; }

 private:
  std::vector<bool> ordinary_;
  std::vector<int32_t> ordinary_ids_;
  int32_t mask_id_;
  uint64_t seed_;
  MaskingOptions options_;
};

}  // namespace bertie
