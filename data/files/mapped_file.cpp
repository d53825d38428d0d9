#include "bertie/data/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

[[noreturn]] void fail_to_read(const std::string& path, int error) {
  fail("read", "can't read '{}': {}", path, std::generic_category().message(error));
}

// An open file that closes itself.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (value_ < 0) fail_to_read(path, errno);
    if (::fstat(value_, &status_) != 0) {
      int error = errno;
      ::close(value_);
      fail_to_read(path, error);
    }
  }
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return value_; }
  mode_t mode() const { return status_.st_mode; }
  size_t bytes() const { return static_cast<size_t>(status_.st_size); }

 private:
  int value_;
  struct stat status_ {};
};

// Begins with room for so many bytes, at least 1.
std::string read_to_end(int descriptor, size_t room, const std::string& path) {
  std::string contents(room, '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == contents.size()) contents.resize(2 * filled);
    ssize_t got = ::read(descriptor, contents.data() + filled, contents.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read(path, errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  contents.resize(filled);
  return contents;
}

}  // namespace

MappedFile map_file(const std::string& path) {
  Descriptor file(path);
  if (S_ISDIR(file.mode())) fail_to_read(path, EISDIR);
  BERTIE_CHECK(S_ISREG(file.mode()), "read", "'{}' must be a regular file", path);
  if (file.bytes() == 0) return {};  // the system maps no empty files
  void* data = ::mmap(nullptr, file.bytes(), PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail_to_read(path, errno);
  size_t bytes = file.bytes();
  std::shared_ptr<const void> owner(data, [bytes](void* mapped) { ::munmap(mapped, bytes); });
  return {std::move(owner), std::string_view(static_cast<const char*>(data), bytes)};
}

std::string read_file(const std::string& path) {
  Descriptor file(path);
  // What fstat() says of a pipe or of a growing file is no bound.
  return read_to_end(file.get(), S_ISREG(file.mode()) ? file.bytes() + 1 : 1 << 16, path);
}

std::string read_standard_input() { return read_to_end(STDIN_FILENO, 1 << 16, "-"); }

}  // namespace bertie
