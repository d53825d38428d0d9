#include "bertie/data/tokenizer/vocabulary.h"

#include <fmt/format.h>

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

std::string_view without_white_space_at_end(std::string_view text) {
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && (text[last] & 0xC0) == 0x80) --last;
    if (!is_white_space(decode_utf8(text.substr(last)).code_point)) break;
    text = text.substr(0, last);
  }
  return text;
}

Vocabulary::Vocabulary(std::vector<std::string> tokens) : Vocabulary(std::move(tokens), "") {}

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
    if (token.empty()) continue;
    if (!trie_.insert(token, static_cast<int32_t>(id))) {
      fail("vocabulary", "a token must have one id: '{}' is {} and again {}", token,
           place(path, trie_.find(token)), place(path, id));
    }
  }
  continuation_node_ = trie_.find_node(continuation_prefix);
  std::string missing;
  for (size_t i = 0; i < std::size(special_tokens); ++i) {
    special_ids_[i] = trie_.find(special_tokens[i]);
    if (special_ids_[i] < 0) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", special_tokens[i]);
  }
  BERTIE_CHECK(missing.empty(), "vocabulary", "the special tokens {} must all be there: {} has no {}",
               fmt::join(special_tokens, " "), path.empty() ? "this one" : "'" + path + "'", missing);
}

Vocabulary Vocabulary::read(const std::string& path) {
  std::string text = read_file(path);
  std::vector<std::string> tokens;
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    tokens.emplace_back(without_white_space_at_end(line));
  }
  while (!tokens.empty() && tokens.back().empty()) tokens.pop_back();
  return Vocabulary(std::move(tokens), path);
}

void Vocabulary::write(const std::string& path) const {
  std::string text;
  for (const std::string& token : tokens_) {
    text += token;
    text += '\n';
  }
  write_file_atomically(path, text);
}

int32_t Vocabulary::id(std::string_view token) const {
  int32_t id = trie_.find(token);
  BERTIE_CHECK(id >= 0, "vocabulary", "the token must be in the vocabulary: '{}' isn't", token);
  return id;
}

std::string_view Vocabulary::token(int32_t id) const {
  BERTIE_CHECK(id >= 0 && id < size(), "vocabulary", "ids are 0 to {}: got {}", size() - 1, id);
  return tokens_[id];
}

}  // namespace bertie
