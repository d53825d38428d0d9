#include "bertie/data/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// Zero or the error of the system.
int lock(int descriptor, int operation) {
  while (::flock(descriptor, operation) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

}  // namespace

FolderLock::FolderLock(const std::string& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  BERTIE_CHECK(descriptor_ >= 0 || errno == ENOENT, "lock", "can't open the folder '{}': {}", folder,
               std::generic_category().message(errno));
}

std::optional<FolderLock> FolderLock::try_lock(const std::string& folder) {
  FolderLock result(folder);
  if (result.descriptor_ < 0) return std::nullopt;
  int error = lock(result.descriptor_, LOCK_EX | LOCK_NB);
  if (error == EWOULDBLOCK) return std::nullopt;
  result.holds_ = error == 0;
  return result;
}

std::optional<FolderLock> FolderLock::wait_and_lock(const std::string& folder) {
  FolderLock result(folder);
  if (result.descriptor_ < 0) return std::nullopt;
  result.holds_ = lock(result.descriptor_, LOCK_EX) == 0;
  struct stat locked {
  }, there{};
  bool same = ::fstat(result.descriptor_, &locked) == 0 && ::stat(folder.c_str(), &there) == 0 &&
              locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
  if (!same) return std::nullopt;
  return result;
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), holds_(other.holds_) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(holds_, other.holds_);
  return *this;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace bertie
