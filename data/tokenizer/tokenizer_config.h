// tokenizer_config.json and what stands beside it, as transformers' BertTokenizer writes and reads it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/files/load_note.h"
#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

struct TokenizerConfig {
  TokenizerOptions options;
  std::optional<int64_t> model_max_length;  // tokens, [CLS] and [SEP] included; none: no limit
  std::vector<AddedToken> added_tokens;     // added_tokens_decoder, by ids
};

// Keys that are missing have transformers' defaults; unknown keys are ignored. Throws where the file can't be
// read or isn't JSON, a value has the wrong type, the class is another than BertTokenizer (or
// BertTokenizerFast), a key asks for what bertie doesn't do (Japanese words, cutting at the left), and where
// a special token has another name than bertie's or none.
TokenizerConfig read_tokenizer_config(const std::string& path);
// Added tokens are written unless they are the five special ones with nothing special about them.
void write_tokenizer_config(const std::string& path, const TokenizerConfig& config);

struct PretrainedTokenizer {
  Tokenizer tokenizer;
  std::optional<int64_t> model_max_length;
  std::vector<LoadNote> notes;
};
// The tokenizer of a model's directory, as transformers' BertTokenizer takes it: the vocabulary of
// tokenizer.json, or, where there is none, of vocab.txt; the settings of tokenizer_config.json (without it,
// text is lower-cased), whatever tokenizer.json says about them; the added tokens of tokenizer_config.json's
// added_tokens_decoder, or, where there is none, of special_tokens_map.json, added_tokens.json and
// tokenizer.json. The notes name keys that aren't known, and what tokenizer.json has differently. Throws
// where one of them can't be read or honored, and where a token that is added would get another id than the
// files say.
PretrainedTokenizer load_tokenizer(const std::string& directory);

}  // namespace bertie
