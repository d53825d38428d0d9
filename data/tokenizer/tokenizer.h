// BERT's WordPiece tokenizer, as transformers' BertTokenizer runs it: the text is cleaned, lower-cased and
// stripped of accents, split at white space, punctuation and ideographs (data/tokenizer/word_splitter.h), and
// each word is cut greedily into the longest pieces that the vocabulary has (Wu et al., "Google's neural
// machine translation system", 2016, section 4.1; Devlin et al., "BERT", 2019, section 3).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tokenizer/vocabulary.h"
#include "bertie/data/tokenizer/word_splitter.h"

namespace bertie {

struct TokenizerOptions {
  WordSplitterOptions words;
  // Special tokens in a text, as [MASK], are ordinary characters, not tokens.
  bool split_special_tokens = false;
  // decode() takes spaces around apostrophes away, too ("don't"). transformers' default was true until it
  // became false in its version 5; a tokenizer_config.json that doesn't say gets true here.
  bool clean_up_tokenization_spaces = true;
};

// Where a token comes from: code points [begin, end) of the text, each replaced run of invalid bytes counted
// as one.
struct TokenOffsets {
  int64_t begin = 0;
  int64_t end = 0;
  bool operator==(const TokenOffsets&) const = default;
};

// What is tokenized: a text, or a pair of them.
struct TextInput {
  std::string_view first;
  std::optional<std::string_view> second = std::nullopt;
};

// A line whose tab, if it has one, separates the texts of a pair. Throws where there are several.
TextInput split_pair(std::string_view line);

struct EncodeOptions {
  bool add_special_tokens = true;     // [CLS] first [SEP], and for a pair second [SEP]
  std::optional<int64_t> max_length;  // tokens, special ones included; none: no limit
};

// The tokens of an input. Use one again and again, and its memory is reused.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> token_type_ids;  // of each id: 0, and 1 for the second text of a pair with its [SEP]
  std::vector<TokenOffsets> offsets;    // of each id, in its own text; [0, 0) for an added [CLS] or [SEP]
  int64_t cut_off = 0;                  // tokens that there was no room for
  int64_t replaced = 0;                 // invalid UTF-8 sequences in the texts, read as U+FFFD
};

class Tokenizer {
 public:
  explicit Tokenizer(Vocabulary vocabulary, TokenizerOptions options = {});

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const TokenizerOptions& options() const { return options_; }

  // What is longer than max_length loses tokens at the end of its longer text until both are equally long,
  // then of both by turns (transformers' "longest_first"). Allocates nothing but room in `out`, unless the
  // vocabulary has added tokens that are normalized. May run on many threads. Throws where max_length can't
  // even hold the special tokens.
  void encode(const TextInput& input, const EncodeOptions& options, Encoding& out) const;
  // Only the ids of a text, without [CLS] and [SEP]: appends to `ids` and returns the number of replaced
  // invalid sequences.
  int64_t append_ids(std::string_view text, std::vector<int32_t>& ids) const;
  std::vector<int32_t> ids(std::string_view text) const;

  // The tokens as readable text: pieces joined, other tokens separated by spaces, but none before . ? ! or ,
  // and, with clean_up_tokenization_spaces, none around apostrophes. An added token that is normalized comes
  // so, and if that changes it, it counts as no special one. Throws where an id is out of range.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

 private:
  template <class Output>
  int64_t encode_text(std::string_view text, Output& output) const;
  template <class Output>
  int64_t encode_words(std::string_view text, int64_t position, Output& output) const;

  Vocabulary vocabulary_;
  TokenizerOptions options_;
  AddedTokenFinder raw_, normalized_;       // added tokens to be found in the one text or the other
  std::map<int32_t, std::string> decoded_;  // what decode() gives for added tokens that aren't written so
};

}  // namespace bertie
