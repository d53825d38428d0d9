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

// What git has in a file's place where its extension for large files wasn't there to fetch it.
void refuse_git_lfs_pointer(const std::string& path, std::string_view contents) {
  BERTIE_CHECK(!contents.starts_with("version https://git-lfs.github.com/spec/"), "read",
               "'{}' is a Git LFS pointer in place of the file: `git lfs pull` fetches that", path);
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
  MappedFile result{std::move(owner), std::string_view(static_cast<const char*>(data), bytes)};
  refuse_git_lfs_pointer(path, result.bytes);
  return result;
}

std::string read_file(const std::string& path) {
  Descriptor file(path);
  // What fstat() says of a pipe or of a growing file is no bound, so read until there is no more.
  std::string contents(S_ISREG(file.mode()) ? file.bytes() + 1 : 1 << 16, '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == contents.size()) contents.resize(2 * filled);
    ssize_t got = ::read(file.get(), contents.data() + filled, contents.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read(path, errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  contents.resize(filled);
  refuse_git_lfs_pointer(path, contents);
  return contents;
}

}  // namespace bertie
