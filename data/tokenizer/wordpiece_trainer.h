// Training a WordPiece vocabulary from words and their counts: beginning with single characters, the most
// frequent pair of neighboring pieces becomes a new piece, over and over (Sennrich et al., "Neural machine
// translation of rare words with subword units", 2016, section 3.2), which is what `tokenizers` does under
// the name of WordPiece.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bertie/data/tokenizer/vocabulary.h"
#include "bertie/data/tokenizer/word_splitter.h"

namespace bertie {

// Distinct words and how often each occurs, sorted by word.
using WordCounts = std::vector<std::pair<std::string, int64_t>>;

// Counts the words that the tokenizer would see in texts; special tokens are ordinary characters here. One of
// more than 16 KiB, which is [UNK] whatever the vocabulary, isn't counted: each new piece would have to be
// looked for in all of it. In parallel, with the same result on any number of threads.
class WordCounter {
 public:
  // Memory is bounded: whenever there are more different words than `most_words` after a block, the rarest
  // go, until at most half are left. (One takes about 120 bytes here and 200 in the training; one of more
  // than 64 counts as several. A gigabyte of English has some two million.)
  explicit WordCounter(const WordSplitterOptions& options, size_t most_words = 2'500'000);
  ~WordCounter();
  WordCounter(WordCounter&&) noexcept;
  WordCounter& operator=(WordCounter&&) noexcept;

  void add(std::span<const std::string_view> texts);  // a block
  // The words that went away occurred, between two times when some went, at most so often; 0: all are there.
  int64_t left_out() const { return left_out_; }
  WordCounts take();  // nothing is left here

 private:
  struct Shard;
  void leave_out_rare_ones();

  WordSplitterOptions options_;
  size_t most_words_;
  std::vector<Shard> shards_;  // each has the words of some hashes
  int64_t left_out_ = 0;
};
WordCounts count_words(std::span<const std::string_view> texts, const WordSplitterOptions& options);

struct WordPieceTrainerOptions {
  int32_t size = 8192;            // entries to aim at; the text may have fewer pairs to give
  int64_t min_frequency = 2;      // of a pair that becomes a piece
  int32_t alphabet_limit = 1000;  // the most frequent characters kept; rarer ones become [UNK]
};

// The special tokens, the characters in order of code point, their continuing forms, then the pieces in the
// order in which they were made. Of pairs that are equally frequent the one of the lower ids comes first.
// Throws where `size` can't hold the special tokens and characters, an option is out of range, there are 2^31
// words, one has as many bytes, or all together have 2^63 (each as often as it occurs).
Vocabulary train_wordpiece(const WordCounts& words, const WordPieceTrainerOptions& options = {});

}  // namespace bertie
