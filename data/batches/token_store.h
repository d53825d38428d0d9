// The tokens of a corpus in files that are mapped into memory: made once, used again as long as neither the
// text nor the tokenizer changes, and never larger in memory than what is read just now.
//
// A cache is a folder of stores, each a folder named by its fingerprint, with six files of numbers
// (training.ids: i32; .offsets and .documents: i64; the same of held_out; all little-endian), vocab.txt, and
// manifest.json, which is written last: a store without it isn't complete. The folder may be removed whenever
// nobody uses it.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/tokenized_lines.h"

namespace bertie {

struct TokenStore {
  TokenizedLines training, held_out;  // sequences as tokenize_lines() makes them, with the corpus's documents
  // Of all that the tokens follow from: the lines and documents, the tokenizer, max_length and what is held
  // out. Two stores of one fingerprint hold the same.
  std::string fingerprint;
};

struct TokenStoreOptions {
  int64_t max_length = 128;  // with [CLS] and [SEP]
  bool hold_out = true;      // by HeldOutRule; else all is to train on
  CorpusProgress progress = {};
  // Is told why a store that is there can't be used.
  std::function<void(const std::string&)> note = {};
};

// The store of a corpus: the one in the cache, or else one that is made now. The cache is made where there is
// none. Throws where the corpus can't be read any more as it was, or the store can't be written (a full disk,
// say), which then leaves nothing.
TokenStore tokenize_corpus(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& cache,
                           const TokenStoreOptions& options);

// The fingerprint of that store, without making it: another one than before means another text or tokenizer.
std::string token_store_fingerprint(const Corpus& corpus, const Tokenizer& tokenizer,
                                    const TokenStoreOptions& options);

// A store that is in the cache, without its text, to go on with. Throws an Error that names the file where it
// isn't complete, is damaged (sizes, offsets and ids are looked at), or is one of another vocabulary.
TokenStore open_token_store(const std::string& cache, const std::string& fingerprint,
                            const Vocabulary& vocabulary);

// The vocabulary of a store that is in the cache, without added tokens; none where there is no complete
// store.
std::optional<Vocabulary> stored_vocabulary(const std::string& cache, const std::string& fingerprint);

// What the stores in a cache know of files: for CorpusOptions::known. Empty where there is no cache.
std::map<std::string, CorpusSource> known_sources(const std::string& cache, Documents documents);

}  // namespace bertie
