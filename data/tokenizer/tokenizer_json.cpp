#include "bertie/data/tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/declared_tokens.h"

namespace bertie {

using Json = nlohmann::json;

Vocabulary read_tokenizer_json(const Json& json, const std::string& path) {
  auto found = json.find("model");
  const Json empty, &model = found == json.end() ? empty : *found;
  bool complete = model.is_object() && model.value("type", Json("WordPiece")) == "WordPiece" &&
                  model.contains("vocab") && model["vocab"].is_object();
  BERTIE_CHECK(complete, tokenizer_files, "'{}' must hold a WordPiece model with its vocabulary", path);
  const Json& entries = model["vocab"];
  // An id may lack a token: vocab.txt had a line twice, or blank ones.
  int64_t size = 0;
  for (const auto& [token, value] : entries.items()) {
    BERTIE_CHECK(value.is_number_integer() && value >= 0 && value < largest_vocabulary, tokenizer_files,
                 "the ids of '{}' must be 0 to {}, each once: '{}' has {}", path, largest_vocabulary - 1,
                 token, value.dump());
    size = std::max(size, value.get<int64_t>() + 1);
  }
  std::vector<std::string> tokens(size);
  std::vector<bool> taken(size);
  for (const auto& [token, value] : entries.items()) {
    auto id = value.get<size_t>();
    BERTIE_CHECK(!taken[id], tokenizer_files, "the ids of '{}' must be 0 to {}, each once: '{}' has {}", path,
                 largest_vocabulary - 1, token, value.dump());
    // bert-base-chinese has two tokens of white space, which vocab.txt has without it; no text gives them.
    std::string_view trimmed = without_white_space_at_end(token);
    tokens[id] = trimmed.empty() || trimmed == continuation_prefix ? trimmed : token;
    taken[id] = true;
  }
  return Vocabulary(std::move(tokens), static_cast<int32_t>(entries.size()));
}

std::vector<std::string> differences(const Json& json, const TokenizerOptions& options) {
  std::vector<std::string> names;
  const WordSplitterOptions& words = options.words;
  auto compare = [&](const char* part, const Json& expected, std::initializer_list<std::string_view> free) {
    auto found = json.find(part);
    if (found == json.end() || found->is_null()) return;
    if (!found->is_object() || found->value("type", expected["type"]) != expected["type"]) {
      names.push_back(part);
      return;
    }
    for (const auto& [key, value] : found->items())
      if (std::find(free.begin(), free.end(), key) == free.end() && key != "type" &&
          (!expected.contains(key) || expected[key] != value))
        names.push_back(fmt::format("{}.{}", part, key));
  };
  compare("normalizer",
          {{"type", "BertNormalizer"},
           {"clean_text", true},
           {"handle_chinese_chars", words.tokenize_chinese_chars},
           {"strip_accents", words.strip_accents ? Json(*words.strip_accents) : Json(nullptr)},
           {"lowercase", words.do_lower_case}},
          {});
  compare("pre_tokenizer", {{"type", "BertPreTokenizer"}}, {});
  auto piece = [](const char* kind, const char* id, int type) {
    return Json{{kind, {{"id", id}, {"type_id", type}}}};
  };
  Json single = {piece("SpecialToken", "[CLS]", 0), piece("Sequence", "A", 0),
                 piece("SpecialToken", "[SEP]", 0)};
  Json pair = single;
  pair.push_back(piece("Sequence", "B", 1));
  pair.push_back(piece("SpecialToken", "[SEP]", 1));
  auto post = json.find("post_processor");
  if (post != json.end() && post->is_object() && post->value("type", Json()) == "BertProcessing")
    compare("post_processor", {{"type", "BertProcessing"}}, {"sep", "cls"});
  else
    compare("post_processor", {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}},
            {"special_tokens"});
  compare("decoder", {{"type", "WordPiece"}, {"prefix", "##"}}, {"cleanup"});
  compare("model",
          {{"type", "WordPiece"},
           {"unk_token", "[UNK]"},
           {"continuing_subword_prefix", "##"},
           {"max_input_chars_per_word", 100}},
          {"vocab"});
  // How it was used last: a caller of transformers says that anew.
  constexpr std::string_view known[] = {"version",        "truncation", "padding",
                                        "added_tokens",   "normalizer", "pre_tokenizer",
                                        "post_processor", "decoder",    "model"};
  for (const auto& [key, value] : json.items())
    if (std::find(std::begin(known), std::end(known), key) == std::end(known)) names.push_back(key);
  return names;
}

}  // namespace bertie
