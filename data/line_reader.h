// The lines of a file one after the other, in memory for one of them. Only '\n' ends a line.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace bertie {

class LineReader {
 public:
  // A regular file or a pipe. Throws an Error that names the file and the system's reason.
  explicit LineReader(const std::string& path);

  // The next line without its '\n', which the last one may lack; false at the end. Throws where reading
  // fails.
  bool next(std::string& line);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
    void operator()(char* memory) const { std::free(memory); }
  };

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<char, Close> buffer_;  // getline()'s
  size_t capacity_ = 0;
};

}  // namespace bertie
