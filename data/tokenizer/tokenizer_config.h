// tokenizer_config.json, as transformers' BertTokenizer writes and reads it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

struct TokenizerConfig {
  TokenizerOptions options;
  std::optional<int64_t> model_max_length;  // tokens, [CLS] and [SEP] included; none: no limit
};

// Keys that are missing have transformers' defaults; unknown keys are ignored. Throws where the file can't be
// read or isn't JSON, a value has the wrong type, the class is another than BertTokenizer (or
// BertTokenizerFast), a special token has another name than bertie's or none, and where there are other
// tokens to be found in texts, or they take white space with them (lstrip and the like).
TokenizerConfig read_tokenizer_config(const std::string& path);
void write_tokenizer_config(const std::string& path, const TokenizerConfig& config);

struct PretrainedTokenizer {
  Tokenizer tokenizer;
  std::optional<int64_t> model_max_length;
};
// The tokenizer of a model's directory, as transformers' BertTokenizer takes it: the vocabulary of
// tokenizer.json, or, where there is none, of vocab.txt; the settings of tokenizer_config.json (without it,
// text is lower-cased), whatever tokenizer.json says about them. Throws where one of them can't be read or
// honored, and where these, special_tokens_map.json or added_tokens.json add tokens to the five.
PretrainedTokenizer load_tokenizer(const std::string& directory);

}  // namespace bertie
