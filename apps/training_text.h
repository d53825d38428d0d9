// From the text that a user names to what a program trains on, with progress lines and notes.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/corpus_words.h"
#include "bertie/data/batches/token_store.h"

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

TokenStore tokenize_training_text(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& cache,
                                  int64_t max_length, bool hold_out);

}  // namespace bertie
