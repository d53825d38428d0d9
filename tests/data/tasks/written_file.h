// A file of a text for a test, removed with its folder.
#pragma once
#include <fstream>
#include <string>
#include <string_view>

#include "tests/temporary_folder.h"

namespace bertie {

class WrittenFile {
 public:
  WrittenFile(const std::string& name, std::string_view text) : path_(folder_ / name) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  const std::string& path() const { return path_; }
  // A message without the path of the folder.
  std::string without_folder(std::string message) const {
    for (size_t at; (at = message.find(folder_.path() + "/")) != std::string::npos;)
      message.erase(at, folder_.path().size() + 1);
    return message;
  }

 private:
  TemporaryFolder folder_;
  std::string path_;
};

}  // namespace bertie
