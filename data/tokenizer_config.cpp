#include "data/tokenizer_config.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "autograd/error.h"
#include "data/atomic_file.h"
#include "data/mapped_file.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

constexpr const char* where = "tokenizer_config";
constexpr int max_depth = 64;  // of nested values; without a bound, dump() would overflow the stack
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
  check(value->is_boolean(), where, "{} must be true or false in '{}', it is {}", key, path, value->dump());
  return value->get<bool>();
}

void check_special_token(const Json& json, const char* key, std::string_view expected,
                         const std::string& path) {
  auto value = json.find(key);
  if (value == json.end() || value->is_null()) return;
  // Older files describe the token by an object instead of a string.
  if (value->is_object() && value->contains("content")) value = value->find("content");
  check(value->is_string() && value->get<std::string>() == expected, where,
        "{} must be \"{}\" in '{}', it is {}", key, expected, path, value->dump());
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::string& path) {
  std::string text = read_file(path);
  Json json;
  auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    check(depth <= max_depth, where, "'{}' must not nest values deeper than {}", path, max_depth);
    return true;
  };
  try {
    json = Json::parse(text, check_depth);
  } catch (const Json::exception& error) {  // bad syntax, or a number that no double can hold
    fail(where, "'{}' must be JSON: {}", path, error.what());
  }
  check(json.is_object(), where, "'{}' must hold a JSON object, it holds {}", path, json.type_name());

  auto type = json.find("tokenizer_class");
  if (type != json.end() && !type->is_null()) {
    check(*type == "BertTokenizer" || *type == "BertTokenizerFast", where,
          "tokenizer_class must be BertTokenizer in '{}', it is {}", path, type->dump());
  }
  for (auto [key, token] : special_keys) check_special_token(json, key, token, path);

  TokenizerConfig config;
  config.options.words.do_lower_case = read_bool(json, "do_lower_case", path).value_or(true);
  config.options.words.strip_accents = read_bool(json, "strip_accents", path);
  config.options.words.tokenize_chinese_chars =
      read_bool(json, "tokenize_chinese_chars", path).value_or(true);
  config.options.split_special_tokens = read_bool(json, "split_special_tokens", path).value_or(false);
  auto length = json.find("model_max_length");
  if (length != json.end() && !length->is_null()) {
    check(length->is_number() && *length >= 1, where,
          "model_max_length must be a number over 0 in '{}', it is {}", path, length->dump());
    // Any number that large means that there is no limit.
    if (length->get<double>() < 1e15) config.model_max_length = length->get<int64_t>();
  }
  return config;
}

PretrainedTokenizer load_tokenizer(const std::string& directory) {
  Vocabulary vocabulary = Vocabulary::read(directory + "/vocab.txt");
  TokenizerConfig config;
  std::string path = directory + "/tokenizer_config.json";
  if (std::filesystem::exists(path)) config = read_tokenizer_config(path);
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
  json["model_max_length"] = config.model_max_length ? Json(*config.model_max_length) : Json(no_limit);
  json["tokenizer_class"] = "BertTokenizer";
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace bertie
