#include "bertie/data/tokenizer/added_tokens.h"

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/characters.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

// The length of the last character; of invalid bytes, the last one's.
size_t last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (text[begin] & 0xC0) == 0x80) --begin;
  Utf8Character character = decode_utf8(text.substr(begin));
  bool whole = character.valid && begin + static_cast<size_t>(character.bytes) == text.size();
  return whole ? text.size() - begin : 1;
}

struct NormalizingSink {
  NormalizedText& out;
  void add(const char* bytes, int32_t length, int64_t position) {
    out.bytes.append(bytes, length);
    out.positions.push_back(position);
  }
  void space(int64_t position) { add(" ", 1, position); }
  void end_word() {}  // around punctuation, which the normalized text doesn't set apart
};

}  // namespace

SplitText normalize(std::string_view text, const WordSplitterOptions& options, NormalizedText& out) {
  out.bytes.clear();
  out.positions.clear();
  NormalizingSink sink{out};
  return WordSplitter<NormalizingSink>(options, sink).split(text);
}

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized,
                                   const WordSplitterOptions& options) {
  NormalizedText text;
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    if (normalized) normalize(token.content, options, text);
    std::string_view wanted = normalized ? text.bytes : token.content;
    BERTIE_CHECK(!wanted.empty(), "added_tokens",
                 "a token must have characters that are looked for, '{}' has none", token.content);
    // Of two that become the same, `tokenizers` finds now one and now the other; here it is the first.
    if (!trie_.insert(wanted, static_cast<int32_t>(tokens_.size()))) continue;
    tokens_.push_back(token);
    bool& known = begins_[static_cast<uint8_t>(wanted[0])];
    if (!known) first_bytes_ += wanted[0];
    known = true;
  }
}

size_t AddedTokenFinder::next_beginning(std::string_view text, size_t from) const {
  if (first_bytes_.size() == 1) return text.find(first_bytes_[0], from);
  for (size_t at = from; at < text.size(); ++at)
    if (begins_[static_cast<uint8_t>(text[at])]) return at;
  return std::string_view::npos;
}

std::string_view without_white_space_at_end(std::string_view text) {
  while (!text.empty()) {
    size_t length = last_character(text);
    if (!is_white_space(decode_utf8(text.substr(text.size() - length)).code_point)) break;
    text.remove_suffix(length);
  }
  return text;
}

std::string_view without_white_space_at_beginning(std::string_view text) {
  while (!text.empty()) {
    Utf8Character first = decode_utf8(text);
    if (!is_white_space(first.code_point)) break;
    text.remove_prefix(first.bytes);
  }
  return text;
}

bool ends_in_word(std::string_view text) {
  return !text.empty() &&
         is_word_character(decode_utf8(text.substr(text.size() - last_character(text))).code_point);
}

bool begins_with_word(std::string_view text) {
  return !text.empty() && is_word_character(decode_utf8(text).code_point);
}

}  // namespace bertie
