#include "data/line_reader.h"

#include <cerrno>
#include <system_error>

#include "autograd/error.h"

namespace bertie {

LineReader::LineReader(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "re")) {
  check(file_ != nullptr, "read", "can't read '{}': {}", path_, std::generic_category().message(errno));
}

bool LineReader::next(std::string& line) {
  char* buffer = buffer_.release();
  ssize_t length = ::getline(&buffer, &capacity_, file_.get());
  int error = errno;
  buffer_.reset(buffer);
  if (length < 0) {
    check(std::feof(file_.get()) != 0, "read", "can't read '{}': {}", path_,
          std::generic_category().message(error));
    return false;
  }
  if (buffer[length - 1] == '\n') --length;
  line.assign(buffer, static_cast<size_t>(length));
  return true;
}

}  // namespace bertie
