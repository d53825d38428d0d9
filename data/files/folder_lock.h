// A lock on a folder that ends with the process that holds it, however that ends.
#pragma once
#include <optional>
#include <string>

namespace bertie {

// flock(2) on the folder itself, so that no file is left behind. It holds against other FolderLocks only. A
// file system may have no such locks (NFS has none for folders): there everybody gets one, and none holds().
class FolderLock {
 public:
  // None where somebody else has it, or where there is nothing of that name. Throws where the folder can't be
  // opened.
  static std::optional<FolderLock> try_lock(const std::string& folder);
  // None where there is nothing of that name, or isn't any more when the lock is free.
  static std::optional<FolderLock> wait_and_lock(const std::string& folder);
  bool holds() const { return holds_; }

  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  explicit FolderLock(const std::string& folder);
  int descriptor_;  // below 0: there is nothing of that name
  bool holds_ = false;
};

}  // namespace bertie
