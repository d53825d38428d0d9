#include "bertie/data/tokenizer/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "bertie/data/tokenizer/character_differences.h"

namespace bertie {
namespace {

template <size_t N>
bool contains(const CodePointRange (&ranges)[N], char32_t c) {
  auto range = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                [](char32_t value, const CodePointRange& r) { return value < r.first; });
  return range != std::begin(ranges) && c <= std::prev(range)->last;
}

const utf8proc_property_t& property(char32_t c) {
  return *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
}

// Unicode's property White_Space, without the ASCII characters.
bool is_space(char32_t c) {
  return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

// Letters in circles and squares, which have a case though they are symbols by category.
bool is_enclosed_letter(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

// The blocks that BERT calls Chinese characters; it begins the last extension at 2B920 instead of 2B820.
bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_ascii_symbol(char32_t c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
         (c >= 0x7B && c <= 0x7E);
}

}  // namespace

CharacterKind character_kind(char32_t c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || is_space(c)) return CharacterKind::space;
  if (is_ideograph(c)) return CharacterKind::ideograph;
  switch (property(c).category) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return CharacterKind::removed;
    case UTF8PROC_CATEGORY_CF:
      return contains(kept_format_characters, c) ? CharacterKind::text : CharacterKind::removed;
    default:
      return c == 0xFFFD ? CharacterKind::removed : CharacterKind::text;
  }
}

bool is_white_space(char32_t c) { return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || is_space(c); }

bool is_punctuation(char32_t c) {
  if (c < 0x80) return is_ascii_symbol(c);
  int category = property(c).category;
  if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO)
    return !contains(not_punctuation, c);
  return contains(also_punctuation, c);
}

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  if (property(c).category == UTF8PROC_CATEGORY_MN) return !contains(not_nonspacing_marks, c);
  return contains(also_nonspacing_marks, c);
}

bool is_word_character(char32_t c) {
  switch (property(c).category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:  // the joiners, and letters in circles and squares
      return contains(also_word_characters, c) || c == 0x200C || c == 0x200D || is_enclosed_letter(c);
  }
}

bool is_letter_or_number(char32_t c) {
  int category = property(c).category;
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO &&
         !(category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME);
}

bool is_cased(char32_t c) {
  switch (property(c).category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return true;
    default:  // ordinal indicators, Roman numerals
      return c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) || is_enclosed_letter(c);
  }
}

bool is_case_ignorable(char32_t c) {
  switch (property(c).category) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:  // what may stand in the middle of a word (Word_Break = MidLetter, MidNumLet, Single_Quote)
      return std::u32string_view(
                 U"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07"
                 U"\uFF0E\uFF1A")
                 .find(c) != std::u32string_view::npos;
  }
}

int32_t combining_class(char32_t c) {
  if (c < 0x300) return 0;
  int32_t combining = property(c).combining_class;
  return combining && contains(not_combining, c) ? 0 : combining;
}

Characters decompose(char32_t c) {
  Characters result{{c}, 1};
  if (c < 0xC0 || contains(not_decomposed, c)) return result;
  utf8proc_int32_t parts[std::size(result.code_points)];
  int boundary = 0;
  utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, std::size(parts),
                                                   UTF8PROC_DECOMPOSE, &boundary);
  if (count < 1 || count > static_cast<utf8proc_ssize_t>(std::size(parts))) return result;
  result.count = static_cast<int32_t>(count);
  std::copy(parts, parts + count, result.code_points);
  return result;
}

Characters lower_case(char32_t c) {
  if (c == 0x130) return {{'i', 0x307}, 2};  // the only one whose lower case has two characters
  auto range = std::upper_bound(std::begin(also_lower_case), std::end(also_lower_case), c,
                                [](char32_t value, const LowerCaseRange& r) { return value < r.first; });
  if (range != std::begin(also_lower_case) && c <= std::prev(range)->last) {
    return {{c + static_cast<char32_t>(std::prev(range)->difference)}, 1};
  }
  return {{static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)))}, 1};
}

}  // namespace bertie
