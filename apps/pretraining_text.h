// From the text that bert_pretrain was given to what it trains and evaluates on.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/pretrain_options.h"
#include "apps/run/metrics.h"
#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/tokenized_lines.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/nn/processes.h"

namespace bertie {

// The text as a model of a tokenizer sees it.
struct PretrainingText {
  TokenizedLines training, held_out;
  std::string fingerprint, held_out_fingerprint;  // of the second only where it is a text of its own
  std::vector<bool> scorable;                     // of each id: it may be masked and scored
  Record standard_input;  // what there is to know of the text that came through it; null: none did
  bool is_language;  // held-out lines are as language() makes them and masked so that the best score is known
};

// What came through standard input when the run began, of which the cache has the tokens.
struct StoredInput {
  CorpusSource source;
  Vocabulary vocabulary;  // of those
};

// [CLS] and [SEP] of each line counted.
int64_t tokens_of(const TokenizedLines& lines);

class PretrainingTextReader {
 public:
  // Reads it once, with progress and notes. Where a run is resumed, standard input isn't read if the cache
  // has the tokens of its text: those, and the vocabulary that was trained on it, are used. The options must
  // outlive this. Throws what read_corpus() does, and where standard input must be read and nothing comes.
  explicit PretrainingTextReader(const PretrainOptions& options);

  // What follows is everyone's (nn/processes.h).

  // With the vocabulary of the options, or one that is trained on the text, by the first process for all.
  Tokenizer new_tokenizer(Processes& processes = this_process()) const;

  // Tokenizes it, or takes it from the cache, and tells what there is to know about it. Throws where nothing
  // can be scored, next-sentence prediction lacks documents, or the processes' texts differ.
  PretrainingText tokenize(const Tokenizer& tokenizer, Processes& processes = this_process()) const;

 private:
  Vocabulary vocabulary(const WordSplitterOptions& words, Processes& processes) const;
  void check_and_report(PretrainingText& text, const Vocabulary& vocabulary) const;
  void report(const PretrainingText& text, const Vocabulary& vocabulary) const;

  const PretrainOptions& o_;
  std::string cache_;
  std::optional<StoredInput> stored_;
  Corpus corpus_, held_out_;
  bool splits_;  // a part of the corpus is held out
  HeldOutRule rule_;
};

}  // namespace bertie
