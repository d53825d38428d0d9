#include "bertie/data/tokenizer/tokenizer_hash.h"

#include <gtest/gtest.h>

#include <set>

namespace bertie {
namespace {

std::string hash_of(const Tokenizer& tokenizer) {
  ContentHash hash;
  add_tokenizer(hash, tokenizer);
  return hash.hex();
}

TEST(TokenizerHash, TellsApartWhatGivesOtherIds) {
  std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat"};
  Vocabulary vocabulary(tokens), added(tokens), stripped(tokens);
  added.add({.content = "dog"});
  stripped.add({.content = "dog", .lstrip = true});
  tokens[6] = "dog";
  TokenizerOptions cased, accents, split, no_ideographs;
  cased.words.do_lower_case = false;
  accents.words.strip_accents = false;
  no_ideographs.words.tokenize_chinese_chars = false;
  split.split_special_tokens = true;
  std::set<std::string> hashes{hash_of(Tokenizer(vocabulary)),
                               hash_of(Tokenizer(added)),
                               hash_of(Tokenizer(stripped)),
                               hash_of(Tokenizer(Vocabulary(tokens))),
                               hash_of(Tokenizer(vocabulary, cased)),
                               hash_of(Tokenizer(vocabulary, accents)),
                               hash_of(Tokenizer(vocabulary, no_ideographs)),
                               hash_of(Tokenizer(vocabulary, split))};
  EXPECT_EQ(hashes.size(), 8u);
  EXPECT_EQ(hash_of(Tokenizer(vocabulary)), hash_of(Tokenizer(vocabulary)));
}

}  // namespace
}  // namespace bertie
