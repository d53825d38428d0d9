// What BERT's tokenizer takes a code point for: space, accent, punctuation, its lower case. What is then done
// to a text (accents stripped, words split) is in data/tokenizer/word_splitter.h. utf8proc knows Unicode;
// where `tokenizers`, the referee, goes by other versions of it, its answer counts
// (data/tokenizer/character_differences.h).
#pragma once
#include <cstdint>

namespace bertie {

enum class CharacterKind : uint8_t {
  text,
  space,      // separates words
  ideograph,  // Chinese, Japanese or Korean: a word of its own
  removed,    // control and format characters, private use, U+FFFD
};

// Of a code point as it stands in the text.
CharacterKind character_kind(char32_t c);

// Unicode's property White_Space, which is more than what separates words: some of it is removed.
bool is_white_space(char32_t c);

// ASCII symbols and Unicode's categories P*: a word of its own, once normalized.
bool is_punctuation(char32_t c);

// An accent or the like (category Mn).
bool is_nonspacing_mark(char32_t c);

// Unicode's \w (UTS #18, annex C): letters, marks, digits, connectors such as _, and the joiners.
bool is_word_character(char32_t c);

// Categories L* and N*: what Python's str.isalnum() and, but for _, the \w of its re call so.
bool is_letter_or_number(char32_t c);

// Whether the sigma behind or before it is one within a word (The Unicode Standard, section 3.13,
// "Final_Sigma"): letters that have a case, and what a search for one of them passes over.
bool is_cased(char32_t c);
bool is_case_ignorable(char32_t c);

// The canonical combining class: 0 for a starter, else marks are sorted by it.
int32_t combining_class(char32_t c);

struct Characters {
  char32_t code_points[4];
  int32_t count;
  const char32_t* begin() const { return code_points; }
  const char32_t* end() const { return code_points + count; }
};

// The full canonical decomposition (the D of NFD) and the lower case of one code point.
Characters decompose(char32_t c);
Characters lower_case(char32_t c);

}  // namespace bertie
