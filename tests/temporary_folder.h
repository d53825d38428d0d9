// A new empty folder for a test, removed at its end.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace bertie {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(testing::TempDir() + "bertie_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("can't create " + path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  size_t entries() const {
    using Iterator = std::filesystem::directory_iterator;
    return static_cast<size_t>(std::distance(Iterator(path_), Iterator()));
  }

 private:
  std::string path_;
};

}  // namespace bertie
