#include "bertie/data/tokenizer/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "bertie/autograd/error.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tokenizer/declared_tokens.h"
#include "bertie/data/tokenizer/tokenizer_json.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

// What transformers writes for "no limit": a number that is no exact integer, so a double carries it.
constexpr double no_limit = 1e30;

// Keys of tokenizer_config.json that change neither tokens nor ids: a program's own notes, what other
// tokenizers use, how padding is done (there is none), what tokenizer.json said about its last use, and what
// transformers' BertTokenizer leaves to its caller.
constexpr std::string_view harmless_keys[] = {"name_or_path",
                                              "special_tokens_map_file",
                                              "tokenizer_file",
                                              "vocab_file",
                                              "init_inputs",
                                              "is_local",
                                              "local_files_only",
                                              "files_loaded",
                                              "backend",
                                              "use_fast",
                                              "from_slow",
                                              "processor_class",
                                              "transformers_version",
                                              "tokenizer_version",
                                              "verbose",
                                              "padding_side",
                                              "padding",
                                              "pad_to_multiple_of",
                                              "pad_token_type_id",
                                              "truncation",
                                              "truncation_strategy",
                                              "max_length",
                                              "stride",
                                              "add_bos_token",
                                              "add_eos_token",
                                              "add_prefix_space",
                                              "chat_template"};
constexpr std::string_view followed_keys[] = {"do_lower_case",
                                              "strip_accents",
                                              "tokenize_chinese_chars",
                                              "split_special_tokens",
                                              "clean_up_tokenization_spaces",
                                              "model_max_length",
                                              "max_len",
                                              "tokenizer_class",
                                              "added_tokens_decoder",
                                              "additional_special_tokens",
                                              "extra_special_tokens",
                                              "model_specific_special_tokens"};
// What another tokenizer does, and the one value besides null under which it is BERT's.
const std::pair<const char*, Json> only_values[] = {
    {"word_tokenizer_type", "basic"}, {"subword_tokenizer_type", "wordpiece"},
    {"do_word_tokenize", true},       {"do_subword_tokenize", true},
    {"mecab_kwargs", nullptr},        {"sudachi_kwargs", nullptr},
    {"jumanpp_kwargs", nullptr},      {"truncation_side", "right"}};
// What transformers' BertTokenizer has done with in version 5, and the value that changes nothing.
const std::pair<const char*, Json> former_keys[] = {{"do_basic_tokenize", true},
                                                    {"never_split", Json::array()},
                                                    {"clean_text", true},
                                                    {"wordpieces_prefix", "##"}};

Json read_object(const std::string& path) {
  return parse_json_object(tokenizer_files, "'" + path + "'", read_file(path));
}

void check_class(const Json& json, const std::string& path) {
  auto type = json.find("tokenizer_class");
  if (type == json.end() || type->is_null()) return;
  BERTIE_CHECK(*type == "BertTokenizer" || *type == "BertTokenizerFast", tokenizer_files,
               "tokenizer_class must be BertTokenizer in '{}', it is {}", path, type->dump());
}

TokenizerConfig config_from(const Json& json, const std::string& path) {
  check_class(json, path);
  for (const auto& [key, value] : only_values) {
    auto given = json.find(key);
    BERTIE_CHECK(given == json.end() || given->is_null() || *given == value, tokenizer_files,
                 "{} must be {} in '{}', it is {}", key, value.dump(), path, given->dump());
  }
  auto map = json.find("auto_map");
  BERTIE_CHECK(map == json.end() || !map->is_object() || !map->contains("AutoTokenizer"), tokenizer_files,
               "auto_map names a tokenizer with code of its own in '{}', which bertie doesn't run", path);

  TokenizerConfig config;
  config.options.words.do_lower_case = read_bool(json, "do_lower_case", path).value_or(true);
  config.options.words.strip_accents = read_bool(json, "strip_accents", path);
  config.options.words.tokenize_chinese_chars =
      read_bool(json, "tokenize_chinese_chars", path).value_or(true);
  config.options.split_special_tokens = read_bool(json, "split_special_tokens", path).value_or(false);
  config.options.clean_up_tokenization_spaces =
      read_bool(json, "clean_up_tokenization_spaces", path).value_or(true);
  // max_len is the name of old files, and counts only without the new one.
  const char* key = json.contains("model_max_length") ? "model_max_length" : "max_len";
  auto length = json.find(key);
  if (length != json.end() && !length->is_null()) {
    BERTIE_CHECK(length->is_number() && *length >= 1, tokenizer_files,
                 "{} must be a number over 0 in '{}', it is {}", key, path, length->dump());
    // Any number that large means that there is no limit.
    if (length->get<double>() < 1e15) config.model_max_length = length->get<int64_t>();
  }
  DeclaredTokens tokens;
  add_tokens_decoder(json, path, tokens);
  add_named_tokens(json, path, false, tokens);
  for (auto& [id, token] : tokens.with_ids) {
    token.id = static_cast<int32_t>(id);
    config.added_tokens.push_back(token);
  }
  return config;
}

std::vector<std::string> unknown_keys(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [key, value] : json.items()) {
    auto is_key = [&, &key = key](const auto& known) {
      return std::find(std::begin(known), std::end(known), key) != std::end(known);
    };
    bool known = is_key(harmless_keys) || is_key(followed_keys) || key.ends_with("_token") ||
                 std::any_of(std::begin(only_values), std::end(only_values),
                             [&, &key = key](const auto& only) { return only.first == key; });
    for (const auto& [former, harmless] : former_keys)
      if (key == former) known = value.is_null() || value == harmless;
    // Without types of segments in it transformers leaves them all 0, also those of pairs.
    auto contains_types = [&, &value = value] {
      return value.is_array() && std::find(value.begin(), value.end(), "token_type_ids") != value.end();
    };
    if (key == "model_input_names") known = value.is_null() || contains_types();
    if (!known) names.push_back(key);
  }
  return names;
}

// The five special tokens as every vocabulary has them.
bool is_default(const AddedToken& token) {
  AddedToken plain{.content = token.content, .id = token.id, .special = true};
  return token == plain && std::find(std::begin(special_tokens), std::end(special_tokens), token.content) !=
                               std::end(special_tokens);
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
              added_path = directory + "/added_tokens.json", json_path = directory + "/tokenizer.json",
              model_path = directory + "/config.json";
  Json config_json = read_if_there(config_path);
  TokenizerConfig config = config_from(config_json, config_path);
  if (!config_json.contains("tokenizer_class")) check_class(read_if_there(model_path), model_path);
  std::vector<LoadNote> notes;
  if (auto names = unknown_keys(config_json); !names.empty())
    notes.push_back(
        {fmt::format("'{}' has keys that bertie doesn't know and doesn't follow", config_path), names});

  bool has_json = std::filesystem::exists(json_path);
  Json json = has_json ? read_object(json_path) : Json();
  Vocabulary vocabulary =
      has_json ? read_tokenizer_json(json, json_path) : Vocabulary::read(directory + "/vocab.txt");
  std::map<int64_t, AddedToken> of_json;
  if (has_json) of_json = tokens_of_json(json, json_path);
  DeclaredTokens tokens;
  add_named_tokens(config_json, config_path, false, tokens);
  if (config_json.contains("added_tokens_decoder")) {
    add_tokens_decoder(config_json, config_path, tokens);
  } else {
    Json map = read_if_there(map_path);
    for (const auto& [key, value] : map.items())
      BERTIE_CHECK(key.ends_with("_token") || key.ends_with("_tokens"), tokenizer_files,
                   "'{}' must hold tokens only, it has {}", map_path, key);
    add_named_tokens(map, map_path, true, tokens);
    add_added_tokens(read_if_there(added_path), added_path, tokens);
    for (const auto& [id, token] : of_json) tokens.with_ids[id] = token;
  }
  add_to(vocabulary, tokens, directory);

  if (has_json) {
    std::vector<std::string> names = differences(json, config.options);
    std::set<std::string_view> added;
    for (const AddedToken& token : vocabulary.added_tokens()) added.insert(token.content);
    for (const auto& [id, token] : of_json)
      if (!added.contains(token.content)) names.push_back("added_tokens." + token.content);
    if (!names.empty())
      notes.push_back(
          {fmt::format("'{}' differs from tokenizer_config.json and BERT's tokenizer, which count "
                       "here as they do in transformers, in",
                       json_path),
           names});
  }
  return {Tokenizer(std::move(vocabulary), config.options), config.model_max_length, std::move(notes)};
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
  if (!std::all_of(config.added_tokens.begin(), config.added_tokens.end(), is_default)) {
    std::vector<AddedToken> tokens = config.added_tokens;
    std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    for (const AddedToken& token : tokens)
      json["added_tokens_decoder"][std::to_string(token.id)] = {
          {"content", token.content}, {"lstrip", token.lstrip},           {"normalized", token.normalized},
          {"rstrip", token.rstrip},   {"single_word", token.single_word}, {"special", token.special}};
  }
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace bertie
