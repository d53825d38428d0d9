// A vocabulary of four words, and the ids that special tokens have in it and in each that begins with them.
#pragma once
#include "bertie/data/tokenizer/vocabulary.h"

namespace bertie {

inline constexpr int32_t specials = 5, cls = 2, sep = 3, mask_id = 4;

inline const Vocabulary& small_vocabulary() {
  static const Vocabulary instance({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"});
  return instance;
}

}  // namespace bertie
