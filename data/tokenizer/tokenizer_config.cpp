#include "bertie/data/tokenizer/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bertie/autograd/error.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

constexpr const char* where = "tokenizer_config";
// What transformers writes for "no limit": a number that is no exact integer, so a double carries it.
constexpr double no_limit = 1e30;

constexpr std::pair<const char*, std::string_view> special_keys[] = {{"pad_token", special_tokens[0]},
                                                                     {"unk_token", special_tokens[1]},
                                                                     {"cls_token", special_tokens[2]},
                                                                     {"sep_token", special_tokens[3]},
                                                                     {"mask_token", special_tokens[4]}};

// The value of a true-or-false key, or none where it is missing or null.
std::optional<bool> read_bool(const Json& json, const char* key, const std::string& path) {
  auto value = json.find(key);
  if (value == json.end() || value->is_null()) return std::nullopt;
  BERTIE_CHECK(value->is_boolean(), where, "{} must be true or false in '{}', it is {}", key, path,
               value->dump());
  return value->get<bool>();
}

// A special token as transformers matches it by default: wherever it stands in the raw text, and only itself.
void check_flags(const Json& token, const std::string& name, const std::string& path) {
  for (const char* flag : {"lstrip", "rstrip", "single_word", "normalized"}) {
    auto value = token.find(flag);
    if (value == token.end()) continue;
    BERTIE_CHECK(*value == false, where, "{} of {} must be false in '{}', it is {}", flag, name, path,
                 value->dump());
  }
}

void check_known(const Json& name, const std::string& path) {
  bool known = name.is_string() && std::find(std::begin(special_tokens), std::end(special_tokens),
                                             name.get<std::string>()) != std::end(special_tokens);
  BERTIE_CHECK(known, where, "tokens other than {} are not supported, '{}' adds {}",
               fmt::join(special_tokens, " "), path, name.dump());
}

// Tokens over and above the five would be found in texts, too.
void check_no_other_tokens(const Json& json, const std::string& path) {
  auto check_token = [&](const Json& token) {
    const Json& name = token.is_object() && token.contains("content") ? *token.find("content") : token;
    check_known(name, path);
    if (token.is_object()) check_flags(token, name.get<std::string>(), path);
  };
  for (const char* key : {"additional_special_tokens", "extra_special_tokens",
                          "model_specific_special_tokens", "added_tokens_decoder", "added_tokens"}) {
    auto tokens = json.find(key);  // an array, or an object whose values are the tokens
    if (tokens == json.end()) continue;
    for (const Json& token : *tokens) check_token(token);
  }
  // bos_token, image_token: transformers adds it, whatever it is.
  for (const auto& [key, value] : json.items())
    if (key.ends_with("_token") && (value.is_string() || value.is_object())) check_token(value);
}

Json read_object(const std::string& path) {
  return parse_json_object(where, "'" + path + "'", read_file(path));
}

// From tokenizer.json. Of its other parts transformers' BertTokenizer goes by none but the added tokens.
Vocabulary read_tokenizer_json(const std::string& path) {
  Json json = read_object(path);
  check_no_other_tokens(json, path);
  const Json empty, &model = json.contains("model") ? json["model"] : empty;
  bool complete = model.is_object() && model.value("type", Json("WordPiece")) == "WordPiece" &&
                  model.contains("vocab") && model["vocab"].is_object();
  BERTIE_CHECK(complete, where, "'{}' must hold a WordPiece model with its vocabulary", path);
  const Json& entries = model["vocab"];
  std::vector<std::string> tokens(entries.size());
  std::vector<bool> taken(entries.size());
  for (const auto& [token, value] : entries.items()) {
    size_t id = value.is_number_unsigned() ? value.get<size_t>() : tokens.size();
    BERTIE_CHECK(id < tokens.size() && !taken[id], where,
                 "the ids of '{}' must be 0 to {}, each once: '{}' has {}", path,
                 static_cast<int64_t>(tokens.size()) - 1, token, value.dump());
    // bert-base-chinese has two tokens of white space, which vocab.txt has without it; no text gives them.
    std::string_view trimmed = without_white_space_at_end(token);
    tokens[id] = trimmed.empty() || trimmed == continuation_prefix ? trimmed : token;
    taken[id] = true;
  }
  return Vocabulary(std::move(tokens));
}

void check_special_token(const Json& json, const char* key, std::string_view expected,
                         const std::string& path) {
  auto value = json.find(key);
  if (value == json.end()) return;
  // Older files describe the token by an object instead of a string.
  if (value->is_object() && value->contains("content")) {
    check_flags(*value, key, path);
    value = value->find("content");
  }
  BERTIE_CHECK(value->is_string() && value->get<std::string>() == expected, where,
               "{} must be \"{}\" in '{}', it is {}", key, expected, path, value->dump());
}

// Of tokenizer_config.json or special_tokens_map.json.
void check_tokens(const Json& json, const std::string& path) {
  for (auto [key, token] : special_keys) check_special_token(json, key, token, path);
  check_no_other_tokens(json, path);
}

// Of added_tokens.json, tokens and their ids. transformers lower-cases a token before it looks for it unless
// one of the other files says that it is special.
void check_added_tokens(const Json& json, const std::string& path, const Json& config, const Json& map) {
  for (const auto& [name, id] : json.items()) {
    check_known(name, path);
    for (auto [key, token] : special_keys)
      BERTIE_CHECK(name != token || config.contains(key) || map.contains(key), where,
                   "'{}' adds {}, so tokenizer_config.json or special_tokens_map.json must name it as {}",
                   path, name, key);
  }
}

TokenizerConfig config_from(const Json& json, const std::string& path) {
  auto type = json.find("tokenizer_class");
  if (type != json.end() && !type->is_null()) {
    BERTIE_CHECK(*type == "BertTokenizer" || *type == "BertTokenizerFast", where,
                 "tokenizer_class must be BertTokenizer in '{}', it is {}", path, type->dump());
  }
  check_tokens(json, path);

  TokenizerConfig config;
  config.options.words.do_lower_case = read_bool(json, "do_lower_case", path).value_or(true);
  config.options.words.strip_accents = read_bool(json, "strip_accents", path);
  config.options.words.tokenize_chinese_chars =
      read_bool(json, "tokenize_chinese_chars", path).value_or(true);
  config.options.split_special_tokens = read_bool(json, "split_special_tokens", path).value_or(false);
  config.options.clean_up_tokenization_spaces =
      read_bool(json, "clean_up_tokenization_spaces", path).value_or(true);
  auto length = json.find("model_max_length");
  if (length != json.end() && !length->is_null()) {
    BERTIE_CHECK(length->is_number() && *length >= 1, where,
                 "model_max_length must be a number over 0 in '{}', it is {}", path, length->dump());
    // Any number that large means that there is no limit.
    if (length->get<double>() < 1e15) config.model_max_length = length->get<int64_t>();
  }
  return config;
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::string& path) {
  return config_from(read_object(path), path);
}

PretrainedTokenizer load_tokenizer(const std::string& directory) {
  auto read_if_there = [](const std::string& path) {
    return std::filesystem::exists(path) ? read_object(path) : Json::object();
  };
  std::string config_path = directory + "/tokenizer_config.json",
              map_path = directory + "/special_tokens_map.json",
              added_path = directory + "/added_tokens.json", json_path = directory + "/tokenizer.json";
  Json config_json = read_if_there(config_path), map = read_if_there(map_path);
  TokenizerConfig config = config_from(config_json, config_path);
  check_tokens(map, map_path);
  for (const auto& [key, value] : map.items())
    BERTIE_CHECK(key.ends_with("_token") || key.ends_with("_tokens"), where,
                 "'{}' must hold tokens only, it has {}", map_path, key);
  check_added_tokens(read_if_there(added_path), added_path, config_json, map);
  Vocabulary vocabulary = std::filesystem::exists(json_path) ? read_tokenizer_json(json_path)
                                                             : Vocabulary::read(directory + "/vocab.txt");
  return {Tokenizer(std::move(vocabulary), config.options), config.model_max_length};
}

void write_tokenizer_config(const std::string& path, const TokenizerConfig& config) {
  const WordSplitterOptions& words = config.options.words;
  nlohmann::ordered_json json;
  for (auto [key, token] : special_keys) json[key] = token;
  json["do_lower_case"] = words.do_lower_case;
  json["strip_accents"] = words.strip_accents ? Json(*words.strip_accents) : Json(nullptr);
  json["tokenize_chinese_chars"] = words.tokenize_chinese_chars;
  if (config.options.split_special_tokens) json["split_special_tokens"] = true;
  json["clean_up_tokenization_spaces"] = config.options.clean_up_tokenization_spaces;
  json["model_max_length"] = config.model_max_length ? Json(*config.model_max_length) : Json(no_limit);
  json["tokenizer_class"] = "BertTokenizer";
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace bertie
