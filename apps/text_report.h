// What there is to know about a text before anything is trained on it: notes on standard error.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/tokenized_lines.h"

namespace bertie {

// Notes what was replaced, and which files were given twice.
void note_corpus(const Corpus& corpus);

// Notes a share of [UNK] over 1 % in a text, "the text to train on", say; `advice` is a sentence.
void note_unknown(const std::string& text, double share, const std::string& advice);

// The share of tokens that are [UNK]; 0 where there are none.
double unknown_share(const TokenizedLines& lines, int32_t unk_id);

// Notes how many of the held-out lines, as the model sees them, stand in the training text, too.
void note_known_lines(const TokenizedLines& training, const TokenizedLines& held_out);

// Throws, as an error of `option`, where no token of the text can be scored, and says why.
void check_scorable(const char* option, const std::string& text, const TokenizedLines& lines,
                    const std::vector<bool>& scorable, int32_t unk_id);

}  // namespace bertie
