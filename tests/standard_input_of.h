// Makes a text standard input for a while, from some byte on, as a shell's `read` leaves it.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "tests/temporary_folder.h"

namespace bertie {

class StandardInputOf {
 public:
  StandardInputOf(const std::string& text, int64_t begin) : before_(::dup(STDIN_FILENO)) {
    std::ofstream(folder_ / "text", std::ios::binary) << text;
    int file = ::open((folder_ / "text").c_str(), O_RDONLY);
    ::lseek(file, begin, SEEK_SET);
    ::dup2(file, STDIN_FILENO);
    ::close(file);
  }
  ~StandardInputOf() {
    ::dup2(before_, STDIN_FILENO);
    ::close(before_);
  }
  StandardInputOf(const StandardInputOf&) = delete;
  StandardInputOf& operator=(const StandardInputOf&) = delete;

 private:
  TemporaryFolder folder_;
  int before_;
};

}  // namespace bertie
