// The words of a corpus, to train a vocabulary from.
#pragma once
#include "bertie/data/batches/corpus.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"

namespace bertie {

// Counts those of the lines that aren't held out (WordCounter).
WordCounter count_words(const Corpus& corpus, const HeldOutRule& held_out, const WordSplitterOptions& options,
                        const CorpusProgress& progress = {});

}  // namespace bertie
