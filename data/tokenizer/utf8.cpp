#include "bertie/data/tokenizer/utf8.h"

#include <cstring>

namespace bertie {
namespace {

constexpr char32_t replacement = 0xFFFD;

// Whether eight bytes from `at` on are there and all of them ASCII.
bool has_eight_ascii(std::string_view text, size_t at) {
  uint64_t eight;
  if (text.size() - at < sizeof eight) return false;
  std::memcpy(&eight, text.data() + at, sizeof eight);
  return (eight & 0x8080808080808080) == 0;
}

}  // namespace

// Table 3-7 of the Unicode Standard: the first byte gives the length and, for some, a narrower range of the
// second.
Utf8Character decode_utf8(std::string_view text) {
  auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1, true};
  int32_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return {replacement, 1, false};
  uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  char32_t code_point = first & (0x7F >> length);
  for (int32_t i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) >= text.size()) return {replacement, i, false};
    auto byte = static_cast<uint8_t>(text[i]);
    if (byte < low || byte > high) return {replacement, i, false};
    code_point = code_point << 6 | (byte & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code_point, length, true};
}

int32_t encode_utf8(char32_t c, char* bytes) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = replacement;
  if (c < 0x80) {
    bytes[0] = static_cast<char>(c);
    return 1;
  }
  int32_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (int32_t i = length - 1; i > 0; --i, c >>= 6) bytes[i] = static_cast<char>(0x80 | (c & 0x3F));
  bytes[0] = static_cast<char>((0xF00 >> length & 0xF0) | c);
  return length;
}

void append_utf8(char32_t code_point, std::string& text) {
  char bytes[4];
  text.append(bytes, encode_utf8(code_point, bytes));
}

std::string replace_invalid_utf8(std::string_view text, int64_t& replaced) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    size_t valid = find_invalid_utf8(text);
    result += text.substr(0, valid);
    if (valid == std::string_view::npos) break;
    text.remove_prefix(valid);
    text.remove_prefix(decode_utf8(text).bytes);
    append_utf8(replacement, result);
    ++replaced;
  }
  return result;
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (has_eight_ascii(text, at)) {
      at += 8;
      continue;
    }
    Utf8Character character = decode_utf8(text.substr(at));
    if (!character.valid) return at;
    at += character.bytes;
  }
  return std::string_view::npos;
}

}  // namespace bertie
