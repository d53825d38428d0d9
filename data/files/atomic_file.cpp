#include "bertie/data/files/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
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

// Between a file's name and the numbers of its temporary.
constexpr const char* temporary_infix = ".tmp-";

// "123-4"
bool is_number_pair(std::string_view text) {
  constexpr std::string_view digits = "0123456789";
  size_t dash = text.find('-');
  return dash != std::string_view::npos && dash > 0 && dash + 1 < text.size() &&
         text.find_first_not_of(digits) == dash &&
         text.find_first_not_of(digits, dash + 1) == std::string_view::npos;
}

std::string folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// By which a file that has no name gets one.
std::string link_to(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

}  // namespace

int sync_folder(const std::string& folder) {
  int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A folder may be writable without being readable; then this one guarantee is not to be had.
  if (descriptor < 0) return errno == EACCES ? 0 : errno;
  int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  return error == EINVAL ? 0 : error;  // EINVAL: a file system that can't flush folders
}

// A temporary that nobody has locked is of a program that was killed.
void remove_left_behind(const std::string& path) {
  std::error_code ignored;
  std::string prefix = std::filesystem::path(path).filename().string() + temporary_infix;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(path), ignored)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !is_number_pair(std::string_view(name).substr(prefix.size()))) continue;
    int descriptor = ::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
    ::close(descriptor);
  }
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) fail_with(ENOENT);
  struct stat status;
  if (::stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail_with(EISDIR);
    // Renaming onto a device or a pipe would replace it.
    BERTIE_CHECK(S_ISREG(status.st_mode), "write", "can replace only regular files, and '{}' is none", path_);
  }
  remove_left_behind(path_);
  descriptor_ = ::open(folder_of(path_).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor_ >= 0 && ::access(link_to(descriptor_).c_str(), F_OK) != 0) discard();  // /proc isn't there
  if (descriptor_ < 0) open_temporary();
}

// Another one at each call.
std::string AtomicFile::temporary_name() const {
  static std::atomic<int64_t> counter = 0;
  return fmt::format("{}{}{}-{}", path_, temporary_infix, ::getpid(), counter++);
}

void AtomicFile::open_temporary() {
  do {
    temporary_ = temporary_name();
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    int error = errno;
    temporary_.clear();
    fail_with(error);
  }
  ::flock(descriptor_, LOCK_EX | LOCK_NB);  // says that somebody is at work on it
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
  take_name();
  int result = ::close(descriptor_);
  descriptor_ = -1;
  if (result != 0) fail_with(errno);
  if (int error = sync_folder(folder_of(path_))) fail_with(error);
}

// A link can't replace a file, a new name can.
void AtomicFile::take_name() {
  auto link_as = [&](const std::string& name) {
    int result = ::linkat(AT_FDCWD, link_to(descriptor_).c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW);
    if (result != 0 && errno != EEXIST) fail_with(errno);
    return result == 0;
  };
  if (temporary_.empty()) {
    if (link_as(path_)) return;
    ::flock(descriptor_, LOCK_EX | LOCK_NB);
    std::string name = temporary_name();
    while (!link_as(name)) name = temporary_name();
    temporary_ = name;
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with(errno);
  temporary_.clear();
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
