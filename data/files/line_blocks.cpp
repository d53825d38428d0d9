#include "bertie/data/files/line_blocks.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/error.h"
#include "bertie/data/files/input_file.h"

namespace bertie {
namespace {

// Where the first part of a line ends that is `text` and goes on: at most `most` bytes, at least one.
size_t end_of_part(std::string_view text, size_t most) {
  text = text.substr(0, most);
  size_t space = text.find_last_of(" \t\r\v\f");
  if (space != std::string_view::npos) return space + 1;
  // Not within a character: those have at most 4 bytes, the first of which tells how many, and the others are
  // 10xxxxxx.
  for (size_t bytes = 1; bytes <= 3 && bytes < text.size(); ++bytes) {
    auto byte = static_cast<uint8_t>(text[text.size() - bytes]);
    if ((byte & 0xC0) == 0x80) continue;
    size_t whole = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return text.size() - (bytes < whole ? bytes : 0);
  }
  return text.size();
}

}  // namespace

LineBlocks::LineBlocks(const std::string& path, Sizes sizes)
    : LineBlocks(std::make_unique<InputFile>(path, InputFile::Kind::text), sizes) {}

LineBlocks::LineBlocks(std::unique_ptr<InputFile> file, Sizes sizes)
    : file_(std::move(file)), sizes_(sizes) {}

LineBlocks::~LineBlocks() = default;

// Appends to the buffer and returns the number of bytes, 0 at the end.
size_t LineBlocks::read_more() {
  if (buffer_.size() < filled_ + sizes_.block / 2) {
    buffer_.resize(std::max(sizes_.block, 2 * filled_));
  }
  size_t got = file_->read(buffer_.data() + filled_, buffer_.size() - filled_);
  filled_ += got;
  return got;
}

std::span<const std::string_view> LineBlocks::next() {
  first_number_ += static_cast<int64_t>(lines_.size()) - (last_goes_on_ ? 1 : 0);
  lines_.clear();
  last_goes_on_ = false;
  filled_ -= given_;
  // Not erase(), which would move all the room that an earlier, long line took.
  std::memmove(buffer_.data(), buffer_.data() + given_, filled_);
  given_ = 0;
  // What is there already has no line feed, unless it follows a part of a line.
  bool has_line = std::string_view(buffer_).substr(0, filled_).find('\n') != std::string_view::npos;
  while (!at_end_ &&
         (has_line ? filled_ < sizes_.block && file_->has_input(0) : filled_ <= sizes_.longest_line)) {
    size_t before = filled_;
    at_end_ = read_more() == 0;
    has_line |=
        std::string_view(buffer_).substr(before, filled_ - before).find('\n') != std::string_view::npos;
  }
  std::string_view text(buffer_.data(), filled_);
  while (given_ < filled_) {
    size_t end = std::min(text.find('\n', given_), filled_);
    size_t length = end - given_;
    if (length > sizes_.longest_line && !sizes_.parts) {
      if (!lines_.empty()) break;
      fail("read", "line {} of '{}' must have at most {} bytes, it has more", first_number_, file_->path(),
           sizes_.longest_line);
    }
    if (length > sizes_.longest_line) {
      length = end_of_part(text.substr(given_, length), sizes_.longest_line);
      last_goes_on_ = true;
    } else if (end == filled_ && !at_end_) {
      break;  // not whole yet
    }
    lines_.push_back(text.substr(given_, length));
    given_ += length;
    if (last_goes_on_) break;
    given_ += end < filled_ ? 1 : 0;
  }
  return lines_;
}

}  // namespace bertie
