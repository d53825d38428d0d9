// A tokenizer of a few tokens for tests: letters, and pieces of words.
#pragma once
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// [CLS] is 2, [SEP] 3, "a" 5, "b" 6, "c" 7, "##d" 8, "##e" 9, "." 10.
inline Tokenizer small_tokenizer() {
  return Tokenizer(
      Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##d", "##e", "."}));
}

}  // namespace bertie
