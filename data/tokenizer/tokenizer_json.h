// tokenizer.json, the file of `tokenizers`. This header isn't installed: it shows nlohmann's JSON.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bertie/data/tokenizer/tokenizer.h"

namespace bertie {

// Its vocabulary. Throws, naming the file, where it holds no WordPiece model, or an id twice.
Vocabulary read_tokenizer_json(const nlohmann::json& json, const std::string& path);

// What it says otherwise than BERT's tokenizer with these options, of which transformers' BertTokenizer takes
// no notice, but other programs do: names such as normalizer.lowercase.
std::vector<std::string> differences(const nlohmann::json& json, const TokenizerOptions& options);

}  // namespace bertie
