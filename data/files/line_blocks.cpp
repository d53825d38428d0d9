#include "bertie/data/files/line_blocks.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr size_t block_bytes = 1 << 20;

[[noreturn]] void fail_to_read(const std::string& path, int error) {
  fail("read", "can't read '{}': {}", path, std::generic_category().message(error));
}

// A descriptor of one's own of standard input goes on where that is, which opening /dev/stdin wouldn't.
int open_to_read(const std::string& path) {
  if (path == "-") return ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

}  // namespace

LineBlocks::LineBlocks(const std::string& path, std::function<bool()> stopped)
    : path_(path), stopped_(std::move(stopped)), descriptor_(open_to_read(path)) {
  if (descriptor_ < 0) fail_to_read(path, errno);
  struct stat status {};
  int error = ::fstat(descriptor_, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  if (error == 0) return;
  ::close(descriptor_);
  fail_to_read(path, error);
}

LineBlocks::~LineBlocks() { ::close(descriptor_); }

// Whether read() wouldn't wait, after at most so many milliseconds. An error is its to tell; a signal, which
// ends the waiting, is none.
bool LineBlocks::has_input(int milliseconds) const {
  pollfd waiting{descriptor_, POLLIN, 0};
  int ready = ::poll(&waiting, 1, milliseconds);
  return ready > 0 || (ready < 0 && errno != EINTR);
}

// False once reading is to stop.
bool LineBlocks::wait_for_input() const {
  while (stopped_) {
    if (stopped_()) return false;
    if (has_input(100)) break;
  }
  return true;
}

// Appends to the buffer and returns the number of bytes, 0 at the end.
size_t LineBlocks::read_more() {
  if (buffer_.size() < filled_ + block_bytes / 2) buffer_.resize(std::max(block_bytes, 2 * filled_));
  for (;;) {
    if (!wait_for_input()) return 0;
    ssize_t got = ::read(descriptor_, buffer_.data() + filled_, buffer_.size() - filled_);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read(path_, errno);
    filled_ += static_cast<size_t>(got);
    return static_cast<size_t>(got);
  }
}

std::span<const std::string_view> LineBlocks::next() {
  first_number_ += static_cast<int64_t>(lines_.size());
  lines_.clear();
  buffer_.erase(0, given_);
  filled_ -= given_;
  given_ = 0;
  for (bool has_line = false; !at_end_ && (!has_line || (filled_ < block_bytes && has_input(0)));) {
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
