// Lines of token ids, in memory.
#pragma once
#include <vector>

#include "bertie/data/batches/tokenized_lines.h"

namespace bertie {

// Some may be empty, which no text's are.
inline TokenizedLines lines_of(const std::vector<std::vector<int32_t>>& sequences) {
  TokenVectors lines;
  for (const auto& sequence : sequences) {
    lines.ids.insert(lines.ids.end(), sequence.begin(), sequence.end());
    lines.offsets.push_back(static_cast<int64_t>(lines.ids.size()));
  }
  return TokenizedLines(std::move(lines));
}

}  // namespace bertie
