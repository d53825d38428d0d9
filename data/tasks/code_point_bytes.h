// Places in a text, counted in code points, as bytes.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "bertie/data/tokenizer/utf8.h"

namespace bertie {

// Where each code point begins, and, at last, where the text ends. An invalid sequence counts as one, as in
// TokenOffsets.
inline std::vector<int64_t> code_point_bytes(std::string_view text) {
  std::vector<int64_t> bytes;
  bytes.reserve(text.size() + 1);
  size_t at = 0;
  for (; at < text.size(); at += static_cast<size_t>(decode_utf8(text.substr(at)).bytes))
    bytes.push_back(static_cast<int64_t>(at));
  bytes.push_back(static_cast<int64_t>(at));
  return bytes;
}

}  // namespace bertie
