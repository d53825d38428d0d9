#include "bertie/data/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "bertie/autograd/error.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tokenizer/characters.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

// "line 5 of 'vocab.txt'" or, of tokens from elsewhere, "token 4".
std::string place(const std::string& path, size_t id) {
  return path.empty() ? fmt::format("token {}", id) : fmt::format("line {} of '{}'", id + 1, path);
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::optional<int32_t> different)
    : Vocabulary(std::move(tokens), "") {
  different_ = different.value_or(different_);
}

Vocabulary::Vocabulary(std::vector<std::string> tokens, const std::string& path)
    : tokens_(std::move(tokens)) {
  BERTIE_CHECK(tokens_.size() <= static_cast<size_t>(std::numeric_limits<int32_t>::max()), "vocabulary",
               "ids have 32 bits, {} tokens need more", tokens_.size());
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const std::string& token = tokens_[id];
    BERTIE_CHECK(token.find('\n') == std::string::npos, "vocabulary",
                 "a token must not hold a line break: {} does", place(path, id));
    BERTIE_CHECK(find_invalid_utf8(token) == std::string::npos, "vocabulary",
                 "tokens must be UTF-8: {} isn't", place(path, id));
    BERTIE_CHECK(token.size() == without_white_space_at_end(token).size(), "vocabulary",
                 "a token must not end in white space: {} does", place(path, id));
  }
  bool has_empty = false;
  for (size_t id = tokens_.size(); id-- > 0;) {  // from the end, since the last line counts
    std::string& token = tokens_[id];
    has_empty |= token.empty();
    if (token.empty()) continue;
    if (trie_.insert(token, static_cast<int32_t>(id))) {
      ++different_;
    } else {
      BERTIE_CHECK(!path.empty(), "vocabulary", "a token must have one id: '{}' is {} and again {}", token,
                   place(path, id), place(path, trie_.find(token)));
      token.clear();
    }
  }
  different_ += has_empty;
  if (!path.empty())
    while (!tokens_.empty() && tokens_.back().empty()) tokens_.pop_back();
  lines_ = tokens_.size();
  continuation_node_ = trie_.find_node(continuation_prefix);
  std::string missing;
  for (size_t i = 0; i < std::size(special_tokens); ++i) {
    special_ids_[i] = trie_.find(special_tokens[i]);
    if (special_ids_[i] < 0) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", special_tokens[i]);
  }
  BERTIE_CHECK(missing.empty(), "vocabulary", "the special tokens {} must all be there: {} has no {}",
               fmt::join(special_tokens, " "), path.empty() ? "this one" : "'" + path + "'", missing);
  is_special_.resize(tokens_.size());
  for (std::string_view token : special_tokens) add({.content = std::string(token), .special = true});
}

Vocabulary Vocabulary::read(const std::string& path) {
  std::string text = read_file(path);
  BERTIE_CHECK(!text.starts_with("\xEF\xBB\xBF"), "vocabulary",
               "'{}' begins with a byte-order mark, which would be part of its first token: save it without",
               path);
  std::vector<std::string> tokens;
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    tokens.emplace_back(without_white_space_at_end(line));
  }
  return Vocabulary(std::move(tokens), path);
}

void Vocabulary::write(const std::string& path) const {
  std::string text;
  for (size_t id = 0; id < lines_; ++id) {
    text += tokens_[id];
    text += '\n';
  }
  write_file_atomically(path, text);
}

int32_t Vocabulary::add(AddedToken token) {
  BERTIE_CHECK(!token.content.empty() && find_invalid_utf8(token.content) == std::string::npos, "vocabulary",
               "an added token must be UTF-8 and not empty, got '{}'", token.content);
  auto known = find(token.content);
  if (known) {
    token.id = *known;
  } else {
    token.id = std::max(different_, largest_added_ + 1);
    auto id = static_cast<size_t>(token.id);
    if (id >= tokens_.size()) {
      tokens_.resize(id + 1);
      is_special_.resize(id + 1);
    }
    BERTIE_CHECK(tokens_[id].empty(), "vocabulary",
                 "the added token '{}' would get the id {}, which '{}' has", token.content, id, tokens_[id]);
    tokens_[id] = token.content;
  }
  largest_added_ = std::max(largest_added_, token.id);
  is_special_[token.id] = token.special;
  int32_t index = added_trie_.find(token.content);
  if (index < 0) {
    added_trie_.insert(token.content, static_cast<int32_t>(added_.size()));
    added_.push_back(std::move(token));
    return added_.back().id;
  }
  added_[index] = std::move(token);
  return added_[index].id;
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  int32_t id = trie_.find(token);
  if (id >= 0) return id;
  int32_t added = added_trie_.find(token);
  return added < 0 ? std::nullopt : std::optional(added_[added].id);
}

int32_t Vocabulary::id(std::string_view token) const {
  auto id = find(token);
  BERTIE_CHECK(id, "vocabulary", "the token must be in the vocabulary: '{}' isn't", token);
  return *id;
}

std::string_view Vocabulary::token(int32_t id) const {
  BERTIE_CHECK(id >= 0 && id < size(), "vocabulary", "ids are 0 to {}: got {}", size() - 1, id);
  return tokens_[id];
}

}  // namespace bertie
