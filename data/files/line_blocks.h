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
  struct Sizes {
    size_t block = 1 << 20;          // bytes to read at once
    size_t longest_line = 16 << 20;  // bytes
    // A longer line comes in several parts, which end behind white space, or, where there is none, between
    // characters of UTF-8: it is as if the line ended there. Else it is an error.
    bool parts = false;
  };
  // "-" is standard input, and compressed files are read as text (InputFile). Throws where the file can't be
  // opened or is a folder or a device.
  explicit LineBlocks(const std::string& path) : LineBlocks(path, Sizes()) {}
  LineBlocks(const std::string& path, Sizes sizes);
  LineBlocks(std::unique_ptr<InputFile> file, Sizes sizes);
  ~LineBlocks();
  LineBlocks(const LineBlocks&) = delete;
  LineBlocks& operator=(const LineBlocks&) = delete;

  // The next lines, without their '\n': about a block of them, fewer from a pipe that has no more yet, none
  // at the end. They hold until the next call. Throws where the file can't be read, and, after the lines
  // before, where one is too long.
  std::span<const std::string_view> next();
  // The number of the first of these lines, from 1; parts of a line have the same one.
  int64_t first_number() const { return first_number_; }
  // Whether the last of these lines is only a part, with the next one to come.
  bool last_goes_on() const { return last_goes_on_; }

  const InputFile& file() const { return *file_; }

 private:
  size_t read_more();

  std::unique_ptr<InputFile> file_;
  Sizes sizes_;
  std::string buffer_;  // [0, filled_) holds the lines given last and then what isn't a whole line yet
  size_t filled_ = 0;
  size_t given_ = 0;  // bytes of the lines given last
  bool at_end_ = false, last_goes_on_ = false;
  std::vector<std::string_view> lines_;
  int64_t first_number_ = 1;
};

}  // namespace bertie
