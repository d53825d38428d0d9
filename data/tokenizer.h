// BERT's WordPiece tokenizer, as transformers' BertTokenizer runs it: the text is cleaned, lower-cased and
// stripped of accents, split at white space, punctuation and ideographs (data/word_splitter.h), and each word
// is cut greedily into the longest pieces that the vocabulary has (Wu et al., "Google's neural machine
// translation system", 2016, section 4.1; Devlin et al., "BERT", 2019, section 3).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/vocabulary.h"
#include "data/word_splitter.h"

namespace bertie {

struct TokenizerOptions {
  WordSplitterOptions words;
  // [MASK] and the like in a text are ordinary characters, not tokens.
  bool split_special_tokens = false;
};

// Where a token comes from: code points [begin, end) of the text, each replaced run of invalid bytes counted
// as one.
struct TokenOffsets {
  int64_t begin = 0;
  int64_t end = 0;
  bool operator==(const TokenOffsets&) const = default;
};

// The tokens of a text. Use one again and again, and its memory is reused.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<TokenOffsets> offsets;  // of each id
  int64_t replaced = 0;               // invalid UTF-8 sequences in the text, read as U+FFFD
};

class Tokenizer {
 public:
  explicit Tokenizer(Vocabulary vocabulary, TokenizerOptions options = {});

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const TokenizerOptions& options() const { return options_; }

  // The pieces of the text, without [CLS] and [SEP]. Allocates nothing but room in `out`. May run on many
  // threads.
  void encode(std::string_view text, Encoding& out) const;
  // The same without offsets: appends to `ids` and returns the number of replaced invalid sequences.
  int64_t append_ids(std::string_view text, std::vector<int32_t>& ids) const;
  std::vector<int32_t> ids(std::string_view text) const;

  // [CLS] in front and [SEP] behind, at offsets [0, 0): the form of a single text.
  void add_special_tokens(Encoding& encoding) const;

  // The tokens as readable text: pieces joined, other tokens separated by spaces, those before punctuation
  // taken away as transformers' clean_up_tokenization_spaces does. Throws where an id is out of range.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

 private:
  template <class Output>
  int64_t encode_text(std::string_view text, Output& output) const;

  Vocabulary vocabulary_;
  TokenizerOptions options_;
};

}  // namespace bertie
