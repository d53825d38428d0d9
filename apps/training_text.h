// From the text that a user names to what a program trains on, with progress lines and notes.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/corpus_words.h"
#include "bertie/data/batches/token_store.h"
#include "bertie/nn/processes.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace bertie {

// What paths of text may be, for --help.
extern const char* const text_paths_help;

// --documents.
CLI::Option* add_documents_option(CLI::App& app, Documents& documents);

// What comes through pipes is stored in the cache, and what its stores know of unchanged files isn't read
// again, nor is standard input, where it is given what came through it before.
Corpus read_training_text(const std::vector<std::string>& paths, Documents documents,
                          const std::string& cache, const CorpusSource* standard_input = nullptr);

// The words of the lines that aren't held out; notes where rare ones were left out.
WordCounts count_training_words(const Corpus& corpus, const HeldOutRule& held_out,
                                const WordSplitterOptions& words);

// Everyone's (nn/processes.h): each gets the store of its corpus, which must be that of all, else this throws
// and names a process. Where they see one folder, the first makes the store, and the others take it from
// there; where they have folders of their own, each machine makes one at the same time. The lines aren't
// divided among them: the tokens of what one thread encodes in a second (docs/tokenizer.md) are 84 MB, two
// thirds of a second on a network of 1 Gb/s, so two machines with two threads each are faster alone.
TokenStore tokenize_training_text(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& cache,
                                  int64_t max_length, bool hold_out, Processes& processes = this_process());

}  // namespace bertie
