#include "bertie/data/files/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr size_t buffer_bytes = 1 << 16;

// Zero or the error of the system.
int write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

int sync_folder(const std::string& folder) {
  int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A folder may be writable without being readable; then this one guarantee is not to be had.
  if (descriptor < 0) return errno == EACCES ? 0 : errno;
  int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  return error == EINVAL ? 0 : error;  // EINVAL: a file system that can't flush folders
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) fail_with(ENOENT);
  struct stat status;
  if (::stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail_with(EISDIR);
    // Renaming onto a device or a pipe would replace it.
    BERTIE_CHECK(S_ISREG(status.st_mode), "write", "can replace only regular files, and '{}' is none", path_);
  }
  static std::atomic<int64_t> counter = 0;
  do {
    temporary_ = fmt::format("{}.tmp-{}-{}", path_, ::getpid(), counter++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    int error = errno;
    temporary_.clear();
    fail_with(error);
  }
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::string_view bytes) {
  BERTIE_CHECK(descriptor_ >= 0, "write", "'{}' is finished, nothing can be added", path_);
  written_ += static_cast<int64_t>(bytes.size());
  if (buffer_.size() + bytes.size() > buffer_bytes) flush();
  if (bytes.size() < buffer_bytes) {
    buffer_ += bytes;
  } else if (int error = write_all(descriptor_, bytes)) {
    fail_with(error);
  }
}

void AtomicFile::overwrite(int64_t position, std::string_view bytes) {
  BERTIE_CHECK(descriptor_ >= 0, "write", "'{}' is finished, nothing can be replaced", path_);
  auto count = static_cast<int64_t>(bytes.size());
  BERTIE_CHECK(position >= 0 && position <= written_ && count <= written_ - position, "write",
               "'{}' has {} bytes, so {} from byte {} on can't be replaced", path_, written_, count,
               position);
  flush();
  if (::lseek(descriptor_, position, SEEK_SET) < 0) fail_with(errno);
  if (int error = write_all(descriptor_, bytes)) fail_with(error);
  if (::lseek(descriptor_, 0, SEEK_END) < 0) fail_with(errno);
}

void AtomicFile::commit() {
  BERTIE_CHECK(descriptor_ >= 0, "write", "'{}' is finished already", path_);
  flush();
  if (::fsync(descriptor_) != 0) fail_with(errno);
  int result = ::close(descriptor_);
  descriptor_ = -1;
  if (result != 0) fail_with(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with(errno);
  temporary_.clear();
  if (int error = sync_folder(std::filesystem::path(path_).parent_path().string())) fail_with(error);
}

void AtomicFile::flush() {
  if (int error = write_all(descriptor_, buffer_)) fail_with(error);
  buffer_.clear();
}

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail_with(int error) {
  discard();
  fail("write", "can't write '{}': {}", path_, std::generic_category().message(error));
}

void write_file_atomically(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

}  // namespace bertie
