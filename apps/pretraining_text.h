// From the text that bert_pretrain was given to what it trains and evaluates on.
#pragma once
#include <string>
#include <vector>

#include "apps/pretrain_options.h"
#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/tokenized_lines.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// The text as a model of a tokenizer sees it.
struct PretrainingText {
  TokenizedLines training, held_out;
  std::string fingerprint, held_out_fingerprint;  // of the second only where it is a text of its own
  std::vector<bool> scorable;                     // of each id: it may be masked and scored
  bool is_language;  // held-out lines are as language() makes them and masked so that the best score is known
};

// [CLS] and [SEP] of each line counted.
int64_t tokens_of(const TokenizedLines& lines);

class PretrainingTextReader {
 public:
  // Reads it once, with progress and notes. The options must outlive this. Throws what read_corpus() does.
  explicit PretrainingTextReader(const PretrainOptions& options);

  // With the vocabulary of the options, or one that is trained on the text.
  Tokenizer new_tokenizer() const;

  // Tokenizes it, or takes it from the cache, and tells what there is to know about it. Throws where nothing
  // can be scored, or next-sentence prediction lacks documents.
  PretrainingText tokenize(const Tokenizer& tokenizer) const;

 private:
  void report(const PretrainingText& text, const Vocabulary& vocabulary) const;

  const PretrainOptions& o_;
  std::string cache_;
  Corpus corpus_, held_out_;
  bool splits_;  // a part of the corpus is held out
  HeldOutRule rule_;
};

}  // namespace bertie
