// The tokens of a model and their ids, as vocab.txt holds them: one token a line, its id the line's number
// from 0. As with transformers white space at the end of a line doesn't count, and a line that is blank then
// is an empty token, which no text gives (bert-base-chinese has one). Of a token that is there twice the last
// line counts, and the others are like blank ones. To these come the tokens that are found in a text before
// it is cut into words (data/tokenizer/added_tokens.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tokenizer/added_tokens.h"
#include "bertie/data/tokenizer/byte_trie.h"

namespace bertie {

// What begins a token that continues a word.
inline constexpr std::string_view continuation_prefix = "##";

// The special tokens, in the order in which a new vocabulary begins with them.
inline constexpr std::string_view special_tokens[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

class Vocabulary {
 public:
  // tokens[i] gets id i. Throws where a token holds a line break or invalid UTF-8, ends in white space, or is
  // there twice, and where a special token is missing, naming which.
  // Empty ones are ids without a token. `different` is the number of tokens for add(); none: an empty one is
  // one of them.
  explicit Vocabulary(std::vector<std::string> tokens, std::optional<int32_t> different = {});
  // Blank lines at the end are left out. Throws, naming the file and the line, what the constructor throws
  // (but for a token that is there twice), on a byte-order mark, and where the file can't be read.
  static Vocabulary read(const std::string& path);
  // Without what was added under an id of its own. Throws where the file can't be written.
  void write(const std::string& path) const;

  // Adds a token as `tokenizers` does, which decides about the id: that which the token has, or else the one
  // behind the largest added one or, if that is more, the number of different tokens. Returns it. One that
  // was added before changes its properties. Throws where another token has that id.
  int32_t add(AddedToken token);
  // The five special tokens, found in the raw text unless somebody has added them as anything else, and all
  // others that were added, in that order.
  const std::vector<AddedToken>& added_tokens() const { return added_; }

  // All counts and ids are with added tokens.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  std::optional<int32_t> find(std::string_view token) const;
  // Throws where there is no such token.
  int32_t id(std::string_view token) const;
  // Empty where no token has the id. Throws where it is out of range.
  std::string_view token(int32_t id) const;
  const std::vector<std::string>& tokens() const { return tokens_; }

  int32_t pad_id() const { return special_ids_[0]; }
  int32_t unk_id() const { return special_ids_[1]; }
  int32_t cls_id() const { return special_ids_[2]; }
  int32_t sep_id() const { return special_ids_[3]; }
  int32_t mask_id() const { return special_ids_[4]; }
  bool is_special(int32_t id) const { return id >= 0 && id < size() && is_special_[id]; }

  // The longest token that begins `rest`: a word's beginning, or, where `continues`, what follows a piece of
  // it (the token is then found without its prefix, and the length is that without it). No added one, unless
  // vocab.txt has it, too.
  ByteTrie::Match longest_piece(std::string_view rest, bool continues) const {
    return trie_.longest_match(continues ? continuation_node_ : ByteTrie::root, rest);
  }

 private:
  Vocabulary(std::vector<std::string> tokens, const std::string& path);

  std::vector<std::string> tokens_;
  ByteTrie trie_;              // of vocab.txt's
  int32_t continuation_node_;  // where continuation_prefix leads
  int32_t special_ids_[std::size(special_tokens)];
  size_t lines_;                // of vocab.txt
  int32_t different_ = 0;       // tokens in it, an empty one included
  int32_t largest_added_ = -1;  // id
  std::vector<AddedToken> added_;
  ByteTrie added_trie_;  // indices of added_
  std::vector<bool> is_special_;
};

}  // namespace bertie
