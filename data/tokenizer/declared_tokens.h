// The tokens that the files of a model's directory add to its vocabulary, as transformers' BertTokenizer
// takes them. This header isn't installed: it shows nlohmann's JSON.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/tokenizer/added_tokens.h"
#include "bertie/data/tokenizer/vocabulary.h"

namespace bertie {

// The keys of the special tokens, and the names that bertie has for them.
inline constexpr std::pair<const char*, std::string_view> special_keys[] = {
    {"pad_token", special_tokens[0]},
    {"unk_token", special_tokens[1]},
    {"cls_token", special_tokens[2]},
    {"sep_token", special_tokens[3]},
    {"mask_token", special_tokens[4]}};

constexpr int64_t largest_vocabulary = 10'000'000;

// Of messages about a tokenizer's files.
inline constexpr const char* tokenizer_files = "tokenizer_config";

// What the functions below have found. All throw, naming the file and the key, where that is no token, and
// where one of the five special tokens has another name.
struct DeclaredTokens {
  std::map<int64_t, AddedToken> with_ids;
  std::map<std::string, AddedToken> named;  // by the keys that end in _token
  std::vector<AddedToken> extra;
  std::vector<AddedToken> additional;  // of special_tokens_map.json: count only without `extra`
};

// The value of a true-or-false key, or none where it is missing or null.
std::optional<bool> read_bool(const nlohmann::json& json, const char* key, const std::string& path);

// The keys of tokenizer_config.json or, where `is_map`, of special_tokens_map.json that name special tokens.
void add_named_tokens(const nlohmann::json& json, const std::string& path, bool is_map,
                      DeclaredTokens& tokens);
// added_tokens_decoder of tokenizer_config.json.
void add_tokens_decoder(const nlohmann::json& json, const std::string& path, DeclaredTokens& tokens);
// added_tokens.json, behind the files that say which tokens are special.
void add_added_tokens(const nlohmann::json& json, const std::string& path, DeclaredTokens& tokens);
// The added_tokens of tokenizer.json, by ids.
std::map<int64_t, AddedToken> tokens_of_json(const nlohmann::json& json, const std::string& path);

// In transformers' order, on which the ids depend. Throws where a token gets another id than its file says.
void add_to(Vocabulary& vocabulary, const DeclaredTokens& tokens, const std::string& directory);

}  // namespace bertie
