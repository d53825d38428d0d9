// The lines of a file or a pipe, block by block, for work on many threads: memory is bounded by the longest
// line, not by the file. Only '\n' ends a line; what follows the last one is a line, too, unless it is empty.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bertie {

class InputFile;

class LineBlocks {
 public:
  // "-" is standard input. Throws where the file can't be opened or is a folder or a device.
  explicit LineBlocks(const std::string& path);
  ~LineBlocks();
  LineBlocks(const LineBlocks&) = delete;
  LineBlocks& operator=(const LineBlocks&) = delete;

  // The next lines, without their '\n': about a megabyte of them, fewer from a pipe that has no more yet,
  // none at the end. They hold until the next call. Throws where the file can't be read, or a line is longer
  // than memory can hold.
  std::span<const std::string_view> next();
  // The number of the first of these lines, from 1.
  int64_t first_number() const { return first_number_; }

 private:
  size_t read_more();

  std::unique_ptr<InputFile> file_;
  std::string buffer_;  // [0, filled_) holds the lines given last and then what isn't a whole line yet
  size_t filled_ = 0;
  size_t given_ = 0;  // bytes of the lines given last
  bool at_end_ = false;
  std::vector<std::string_view> lines_;
  int64_t first_number_ = 1;
};

}  // namespace bertie
