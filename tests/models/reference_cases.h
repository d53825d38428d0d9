// Random cases that a test makes in the same way as the script whose expected numbers it reads, and these.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/files/line_blocks.h"

namespace bertie {

// The numbers that a case is made of; class Numbers of make_metrics_reference.py gives the same.
class CaseNumbers {
 public:
  explicit CaseNumbers(uint64_t number) : state_(number) {}
  int64_t below(int64_t n) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(n));
  }

 private:
  uint64_t state_;
};

// FNV-1a.
inline std::string checksum(std::string_view text) {
  uint64_t value = 0xCBF29CE484222325;
  for (char byte : text) value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
  return fmt::format("{:016x}", value);
}

// The lines of a file in tests/models/reference.
inline std::vector<std::string> reference_lines(const std::string& name) {
  std::vector<std::string> lines;
  LineBlocks blocks(BERTIE_SOURCE_DIR "/tests/models/reference/" + name);
  for (auto block = blocks.next(); !block.empty(); block = blocks.next())
    lines.insert(lines.end(), block.begin(), block.end());
  return lines;
}

}  // namespace bertie
