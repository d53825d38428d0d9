// UTF-8 in and out. A byte sequence that isn't valid UTF-8 is read as U+FFFD, one for each maximal subpart of
// an ill-formed sequence (The Unicode Standard, section 3.9, "U+FFFD Substitution of Maximal Subparts"), as
// Python, browsers and most decoders do it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bertie {

struct Utf8Character {
  char32_t code_point;  // U+FFFD where the bytes are invalid
  int32_t bytes;        // how many were read, ≥ 1
  bool valid;
};

// The character that `text` begins with. `text` must not be empty.
Utf8Character decode_utf8(std::string_view text);

// Writes the 1 to 4 bytes of a code point and returns their number. What no UTF-8 can hold (a surrogate, a
// number over 0x10FFFF) is written as U+FFFD.
int32_t encode_utf8(char32_t code_point, char* bytes);
void append_utf8(char32_t code_point, std::string& text);

// The text with its invalid bytes replaced; adds the number of replacements to `replaced`.
std::string replace_invalid_utf8(std::string_view text, int64_t& replaced);

// The position of the first byte that isn't part of valid UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);

}  // namespace bertie
