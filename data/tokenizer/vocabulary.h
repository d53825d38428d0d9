// The tokens of a model and their ids, as vocab.txt holds them: one token a line, its id the line's number
// from 0. As with transformers white space at the end of a line doesn't count, and a line that is blank then
// is an empty token, which no text gives (bert-base-chinese has one).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tokenizer/byte_trie.h"

namespace bertie {

// What begins a token that continues a word.
inline constexpr std::string_view continuation_prefix = "##";

// The special tokens, in the order in which a new vocabulary begins with them.
inline constexpr std::string_view special_tokens[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

// The text up to its last character that isn't white space.
std::string_view without_white_space_at_end(std::string_view text);

class Vocabulary {
 public:
  // tokens[i] gets id i. Throws where a token holds a line break or invalid UTF-8, ends in white space, or is
  // there twice, and where a special token is missing, naming which.
  explicit Vocabulary(std::vector<std::string> tokens);
  // Blank lines at the end are left out. Throws, naming the file and the line, what the constructor throws,
  // and where the file can't be read.
  static Vocabulary read(const std::string& path);
  // Throws where the file can't be written.
  void write(const std::string& path) const;

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  std::optional<int32_t> find(std::string_view token) const {
    int32_t id = trie_.find(token);
    return id < 0 ? std::nullopt : std::optional(id);
  }
  // Throws where there is no such token.
  int32_t id(std::string_view token) const;
  // Throws where the id is out of range.
  std::string_view token(int32_t id) const;
  const std::vector<std::string>& tokens() const { return tokens_; }

  int32_t pad_id() const { return special_ids_[0]; }
  int32_t unk_id() const { return special_ids_[1]; }
  int32_t cls_id() const { return special_ids_[2]; }
  int32_t sep_id() const { return special_ids_[3]; }
  int32_t mask_id() const { return special_ids_[4]; }
  bool is_special(int32_t id) const {
    for (int32_t special : special_ids_) {
      if (id == special) return true;
    }
    return false;
  }

  // The longest token that begins `rest`: a word's beginning, or, where `continues`, what follows a piece of
  // it (the token is then found without its prefix, and the length is that without it).
  ByteTrie::Match longest_piece(std::string_view rest, bool continues) const {
    return trie_.longest_match(continues ? continuation_node_ : ByteTrie::root, rest);
  }

 private:
  Vocabulary(std::vector<std::string> tokens, const std::string& path);

  std::vector<std::string> tokens_;
  ByteTrie trie_;
  int32_t continuation_node_;  // where continuation_prefix leads
  int32_t special_ids_[std::size(special_tokens)];
};

}  // namespace bertie
