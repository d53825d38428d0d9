#include "bertie/autograd/error.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bertie {
namespace {

constexpr size_t shown_half = 100;  // characters of a long text at its beginning, and as many at its end
constexpr int64_t listed = 10;

// The length in bytes of the character that the text begins with; 0: it isn't UTF-8, or a control character.
size_t printable_bytes(std::string_view text) {
  auto first = static_cast<uint8_t>(text[0]);
  size_t length = first < 0x80 ? 1 : first < 0xC0 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (length == 0 || length > text.size()) return 0;
  uint32_t code_point = length == 1 ? first : first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((text[i] & 0xC0) != 0x80) return 0;
    code_point = code_point << 6 | (static_cast<uint8_t>(text[i]) & 0x3Fu);
  }
  constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};  // of so many bytes
  bool valid = code_point >= smallest[length] && code_point <= 0x10FFFF && code_point >> 11 != 0xD800 >> 11;
  bool control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
  return valid && !control ? length : 0;
}

// What is shown of each character, and of each byte that belongs to none.
std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    size_t length = printable_bytes(text);
    result.push_back(length > 0 ? std::string(text.substr(0, length))
                                : fmt::format("\\x{:02x}", static_cast<uint8_t>(text[0])));
    text.remove_prefix(length > 0 ? length : 1);
  }
  return result;
}

}  // namespace

std::string shown(std::string_view text) {
  // No more is looked at than may be shown, and the 3 bytes by which a cut may miss a character's start.
  constexpr size_t bytes = 4 * shown_half + 3;
  std::vector<std::string> first = characters(text.substr(0, 2 * bytes)), last;
  bool cut = first.size() > 2 * shown_half || text.size() > 2 * bytes;
  if (cut) {
    last = characters(text.substr(text.size() - std::min(text.size(), bytes)));
    first.resize(shown_half);
    last.erase(last.begin(), last.end() - shown_half);
  }
  std::string result;
  for (const std::string& character : first) result += character;
  if (cut) result += " … ";
  for (const std::string& character : last) result += character;
  return result;
}

void Listing::add(std::string_view entry) {
  if (count_++ < listed) text_.append(before_each_).append(entry);
}

std::string Listing::str() const {
  return count_ <= listed ? text_ : fmt::format("{}{}and {} more", text_, before_each_, count_ - listed);
}

void fail_formatted(const char* where, fmt::string_view format, fmt::format_args arguments) {
  throw Error(fmt::format("[{}] {}", where, fmt::vformat(format, arguments)));
}

}  // namespace bertie
