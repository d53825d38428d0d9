#include "bertie/data/files/line_blocks.h"

#include <algorithm>
#include <cstring>

#include "bertie/data/files/input_file.h"

namespace bertie {
namespace {

constexpr size_t block_bytes = 1 << 20;

}  // namespace

LineBlocks::LineBlocks(const std::string& path)
    : file_(std::make_unique<InputFile>(path, InputFile::Kind::text)) {}

LineBlocks::~LineBlocks() = default;

// Appends to the buffer and returns the number of bytes, 0 at the end.
size_t LineBlocks::read_more() {
  if (buffer_.size() < filled_ + block_bytes / 2) {
    file_->check_room(2 * filled_);
    buffer_.resize(std::max(block_bytes, 2 * filled_));
  }
  size_t got = file_->read(buffer_.data() + filled_, buffer_.size() - filled_);
  filled_ += got;
  return got;
}

std::span<const std::string_view> LineBlocks::next() {
  first_number_ += static_cast<int64_t>(lines_.size());
  lines_.clear();
  filled_ -= given_;
  // Not erase(), which would move all the room that an earlier, long line took.
  std::memmove(buffer_.data(), buffer_.data() + given_, filled_);
  given_ = 0;
  for (bool has_line = false; !at_end_ && (!has_line || (filled_ < block_bytes && file_->has_input(0)));) {
    size_t before = filled_;
    at_end_ = read_more() == 0;
    has_line |=
        std::string_view(buffer_).substr(before, filled_ - before).find('\n') != std::string_view::npos;
  }
  std::string_view text(buffer_.data(), filled_);
  for (size_t end; (end = text.find('\n', given_)) != std::string_view::npos; given_ = end + 1)
    lines_.push_back(text.substr(given_, end - given_));
  if (at_end_ && given_ < filled_) {
    lines_.push_back(text.substr(given_));
    given_ = filled_;
  }
  return lines_;
}

}  // namespace bertie
