// Tokens that are found in a text as they stand, before it is cut into words: the special ones ([MASK]), and
// those that somebody has added to a vocabulary. As `tokenizers` finds them (its AddedVocabulary).
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tokenizer/byte_trie.h"
#include "bertie/data/tokenizer/word_splitter.h"

namespace bertie {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;      // left out where decode() skips special tokens
  bool normalized = false;   // looked for in the cleaned and lower-cased text, and itself lower-cased
  bool single_word = false;  // only where no letter, digit or _ stands next to it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and that behind it
  bool operator==(const AddedToken&) const = default;
};

// A text as the words are cut from it, each of its code points with the position that it had.
struct NormalizedText {
  std::string bytes;
  std::vector<int64_t> positions;
};
// Returns how many invalid UTF-8 sequences there were, and how many code points.
SplitText normalize(std::string_view text, const WordSplitterOptions& options, NormalizedText& out);

// Finds tokens that are all looked for in the same text: the raw one or the normalized one.
class AddedTokenFinder {
 public:
  // Those of `tokens` that are `normalized`, or those that aren't. Throws where nothing is left of a token
  // that is normalized.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized,
                   const WordSplitterOptions& options);
  bool empty() const { return tokens_.empty(); }

  // Calls, from the beginning to the end, between(part) for what is no token and found(token, part) for each
  // token; of several that begin at the same place the longest counts. Special ones are no tokens where
  // `skip_special`.
  template <class Between, class Found>
  void split(std::string_view text, bool skip_special, const Between& between, const Found& found) const;

 private:
  size_t next_beginning(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;                   // of what is looked for, with indices of tokens_
  std::string first_bytes_;         // each once
  std::array<bool, 256> begins_{};  // the same
};

// The text up to its last character that isn't white space, and from its first one on.
std::string_view without_white_space_at_end(std::string_view text);
std::string_view without_white_space_at_beginning(std::string_view text);
// Whether the text's last or first character is one of a word: Unicode's \w, as in regular expressions.
bool ends_in_word(std::string_view text);
bool begins_with_word(std::string_view text);

template <class Between, class Found>
void AddedTokenFinder::split(std::string_view text, bool skip_special, const Between& between,
                             const Found& found) const {
  size_t done = 0;
  for (size_t at = next_beginning(text, 0); at != std::string_view::npos;) {
    ByteTrie::Match match = trie_.longest_match(ByteTrie::root, text.substr(at));
    if (match.value < 0) {
      at = next_beginning(text, at + 1);
      continue;
    }
    const AddedToken& token = tokens_[match.value];
    size_t begin = at, end = at + static_cast<size_t>(match.length);
    at = next_beginning(text, end);  // also where what was found doesn't count
    if (skip_special && token.special) continue;
    if (token.single_word && (ends_in_word(text.substr(0, begin)) || begins_with_word(text.substr(end))))
      continue;
    if (token.lstrip) begin = std::max(done, without_white_space_at_end(text.substr(0, begin)).size());
    if (token.rstrip) end = text.size() - without_white_space_at_beginning(text.substr(end)).size();
    if (done < begin) between(text.substr(done, begin - done));
    found(token, text.substr(begin, end - begin));
    done = end;
  }
  if (done < text.size()) between(text.substr(done));
}

}  // namespace bertie
