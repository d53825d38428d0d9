// tokenizer_config.json, as transformers' BertTokenizer writes and reads it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "data/tokenizer.h"

namespace bertie {

struct TokenizerConfig {
  TokenizerOptions options;
  std::optional<int64_t> model_max_length;  // tokens, [CLS] and [SEP] included; none: no limit
};

// Keys that are missing have transformers' defaults; unknown keys are ignored. Throws where the file can't be
// read or isn't JSON, a value has the wrong type, the class is another than BertTokenizer (or
// BertTokenizerFast), a special token has another name than bertie's, and where there are other tokens to be
// found in texts, or they take white space with them (lstrip and the like).
TokenizerConfig read_tokenizer_config(const std::string& path);
void write_tokenizer_config(const std::string& path, const TokenizerConfig& config);

struct PretrainedTokenizer {
  Tokenizer tokenizer;
  std::optional<int64_t> model_max_length;
};
// The tokenizer of a model's directory: vocab.txt, or, where there is none, the vocabulary within
// tokenizer.json, which is all that transformers 5 writes; and tokenizer_config.json. Without the latter,
// which older directories lack, text is lower-cased. Throws where one of them can't be read or honored.
PretrainedTokenizer load_tokenizer(const std::string& directory);

}  // namespace bertie
