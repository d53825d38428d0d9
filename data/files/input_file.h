// Opening a file whose name came from anywhere: without waiting for anybody, and only what has an end.
#pragma once
#include <cstddef>
#include <string>

namespace bertie {

class InputFile {
 public:
  // A model's files are regular ones; a text may also come through a pipe, from a terminal, or, as "-", from
  // standard input.
  enum class Kind { regular, text };
  // Throws an Error that names the file where it can't be opened or is none of its kind: a folder, a device.
  InputFile(const std::string& path, Kind kind);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  size_t bytes() const { return bytes_; }  // as the system says: 0 of a pipe

  // Reads at most so many bytes and returns their number; 0 at the end. Waits where a pipe has nothing to
  // read.
  size_t read(char* to, size_t most);
  // Whether read() wouldn't wait, after at most so many milliseconds; -1: however many. An error is its to
  // tell; a signal, which ends the waiting, is none.
  bool has_input(int milliseconds) const;
  // Throws where so many bytes are more than this machine has memory.
  void check_room(size_t bytes) const;

 private:
  std::string path_;
  int descriptor_;
  size_t bytes_ = 0;
};

// Throws "can't read", with the system's reason.
[[noreturn]] void fail_to_read(const std::string& path, int error);

}  // namespace bertie
