#include "bertie/data/tokenizer/declared_tokens.h"

#include <algorithm>
#include <set>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

// How a file that describes a token without saying all means it.
struct Unsaid {
  bool special;
};

// A name, which is that of a special token, or an object.
AddedToken parse_token(const Json& value, const std::string& path, Unsaid unsaid) {
  if (value.is_string()) return {.content = value.get<std::string>(), .special = true};
  auto content = value.is_object() ? value.find("content") : value.end();
  BERTIE_CHECK(value.is_object() && content != value.end() && content->is_string(), tokenizer_files,
               "a token must be a name or an object with its content in '{}', it is {}", path, value.dump());
  AddedToken token{.content = content->get<std::string>()};
  token.special = read_bool(value, "special", path).value_or(unsaid.special);
  token.normalized = read_bool(value, "normalized", path).value_or(!token.special);
  token.single_word = read_bool(value, "single_word", path).value_or(false);
  token.lstrip = read_bool(value, "lstrip", path).value_or(false);
  token.rstrip = read_bool(value, "rstrip", path).value_or(false);
  return token;
}

int64_t token_id(const Json& id, const std::string& path) {
  BERTIE_CHECK(id.is_number_integer() && id >= 0 && id < largest_vocabulary, tokenizer_files,
               "the id of an added token must be in 0 … {} in '{}', it is {}", largest_vocabulary - 1, path,
               id.dump());
  return id.get<int64_t>();
}

std::set<std::string> names_of(const DeclaredTokens& tokens) {
  std::set<std::string> names;
  for (const auto& [key, token] : tokens.named) names.insert(token.content);
  return names;
}

}  // namespace

std::optional<bool> read_bool(const Json& json, const char* key, const std::string& path) {
  auto value = json.find(key);
  if (value == json.end() || value->is_null()) return std::nullopt;
  BERTIE_CHECK(value->is_boolean(), tokenizer_files, "{} must be true or false in '{}', it is {}", key, path,
               value->dump());
  return value->get<bool>();
}

void add_named_tokens(const Json& json, const std::string& path, bool is_map, DeclaredTokens& tokens) {
  auto add = [&](const std::string& key, const Json& value) {
    if (value.is_null()) return;
    // An object of tokenizer_config.json says of itself that it is one, and then leaves out nothing.
    AddedToken token = parse_token(value, path, {is_map || !value.contains("__type")});
    token.special = true;
    tokens.named[key] = std::move(token);
  };
  for (auto [key, name] : special_keys) {
    auto value = json.find(key);
    if (value == json.end()) continue;
    const Json& content = value->is_object() && value->contains("content") ? *value->find("content") : *value;
    BERTIE_CHECK(content == name, tokenizer_files, "{} must be \"{}\" in '{}', it is {}", key, name, path,
                 content.dump());
  }
  // bos_token, image_token: transformers adds it, whatever it is.
  for (const auto& [key, value] : json.items())
    if (key.ends_with("_token") && (value.is_string() || value.is_object())) add(key, value);
  for (const char* key :
       {"extra_special_tokens", "additional_special_tokens", "model_specific_special_tokens"}) {
    auto list = json.find(key);
    if (list == json.end() || list->is_null()) continue;
    BERTIE_CHECK(list->is_array() || list->is_object(), tokenizer_files,
                 "{} must be a list of tokens in '{}', it is {}", key, path, list->dump());
    for (const auto& [name, value] : list->items()) {
      if (list->is_object()) {
        add(name, value);
      } else {
        AddedToken token = parse_token(value, path, {is_map || !value.contains("__type")});
        bool additional = is_map && key == std::string("additional_special_tokens");
        (additional ? tokens.additional : tokens.extra).push_back(std::move(token));
      }
    }
  }
}

void add_tokens_decoder(const Json& json, const std::string& path, DeclaredTokens& tokens) {
  auto decoder = json.find("added_tokens_decoder");
  if (decoder == json.end() || decoder->is_null()) return;
  BERTIE_CHECK(decoder->is_object(), tokenizer_files,
               "added_tokens_decoder must be an object in '{}', it is {}", path, decoder->dump());
  for (const auto& [key, value] : decoder->items()) {
    Json id = Json::parse(key, nullptr, /*allow_exceptions=*/false);
    BERTIE_CHECK(value.is_object(), tokenizer_files,
                 "added_tokens_decoder must hold objects in '{}', it has {}", path, value.dump());
    tokens.with_ids[token_id(id, path)] = parse_token(value, path, {false});
  }
}

// added_tokens.json: tokens and their ids. transformers lower-cases a token before it looks for it unless one
// of the other files says that it is special.
void add_added_tokens(const Json& json, const std::string& path, DeclaredTokens& tokens) {
  std::set<std::string> special_names = names_of(tokens);
  for (const AddedToken& token : tokens.extra) special_names.insert(token.content);
  for (const auto& [name, id] : json.items()) {
    bool special = special_names.contains(name);
    tokens.with_ids[token_id(id, path)] = {.content = name, .special = special, .normalized = !special};
  }
}

std::map<int64_t, AddedToken> tokens_of_json(const Json& json, const std::string& path) {
  std::map<int64_t, AddedToken> result;
  auto list = json.find("added_tokens");
  if (list == json.end() || list->is_null()) return result;
  BERTIE_CHECK(list->is_array(), tokenizer_files, "added_tokens must be a list in '{}', it is {}", path,
               list->dump());
  for (const Json& value : *list) {
    AddedToken token = parse_token(value, path, {false});
    BERTIE_CHECK(value.is_object() && value.contains("id"), tokenizer_files,
                 "an added token must have an id in '{}', {}", path, value.dump());
    result[token_id(value["id"], path)] = std::move(token);
  }
  return result;
}

void add_to(Vocabulary& vocabulary, const DeclaredTokens& tokens, const std::string& directory) {
  std::set<std::string> done, named = names_of(tokens);
  for (const auto& [id, token] : tokens.with_ids) {
    AddedToken added = token;
    added.special = added.special || named.contains(token.content);
    if (!done.insert(token.content).second) continue;
    int32_t given = vocabulary.add(std::move(added));
    BERTIE_CHECK(given == id, tokenizer_files,
                 "the files of {} add '{}' under the id {}, but where the others are, its id can only be {}",
                 directory, token.content, id, given);
  }
  std::vector<AddedToken> others;
  constexpr std::string_view first[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
  for (std::string_view key : first)
    if (auto token = tokens.named.find(std::string(key)); token != tokens.named.end())
      others.push_back(token->second);
  int64_t without_order = 0;
  for (const auto& [key, token] : tokens.named) {
    if (std::find(std::begin(first), std::end(first), key) != std::end(first)) continue;
    others.push_back(token);
    without_order += !done.contains(token.content) && !vocabulary.find(token.content);
  }
  BERTIE_CHECK(
      without_order <= 1, tokenizer_files,
      "the files of {} add {} tokens under names of their own, so added_tokens_decoder must give their "
      "ids",
      directory, without_order);
  const std::vector<AddedToken>& rest = tokens.extra.empty() ? tokens.additional : tokens.extra;
  others.insert(others.end(), rest.begin(), rest.end());
  for (const AddedToken& token : others)
    if (done.insert(token.content).second) vocabulary.add(token);
}

}  // namespace bertie
