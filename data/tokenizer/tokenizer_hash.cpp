#include "bertie/data/tokenizer/tokenizer_hash.h"

namespace bertie {

void add_tokenizer(ContentHash& hash, const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  for (const std::string& token : vocabulary.tokens()) hash.add_item(token);
  for (const AddedToken& token : vocabulary.added_tokens()) {
    hash.add_item(token.content);
    for (bool property : {token.special, token.normalized, token.single_word, token.lstrip, token.rstrip})
      hash.add_item(int64_t{property});
  }
  const WordSplitterOptions& words = tokenizer.options().words;
  for (bool property : {words.do_lower_case, words.strips_accents(), words.tokenize_chinese_chars,
                        tokenizer.options().split_special_tokens})
    hash.add_item(int64_t{property});
}

}  // namespace bertie
