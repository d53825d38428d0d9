// Opening a file whose name came from anywhere: without waiting for anybody, and only what has an end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bertie {

class InputFile {
 public:
  // A model's files are regular ones; a text may also come through a pipe, from a terminal, or, as "-", from
  // standard input, and compressed by gzip: where its name ends in ".gz" or it begins as such files do, what
  // is read is what was compressed, of one member after the other (RFC 1952).
  enum class Kind { regular, text };
  // Throws an Error that names the file where it can't be opened or is none of its kind: a folder, a device.
  InputFile(const std::string& path, Kind kind);
  // Not a file but these bytes, which must outlive this; `name` stands in messages.
  InputFile(std::string name, std::string_view bytes);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  size_t bytes() const { return bytes_; }            // as the system says: 0 of a pipe
  int64_t modified_ns() const { return modified_; }  // since 1970
  bool is_regular() const { return is_regular_; }    // so that it can be read again
  int64_t position() const { return position_; }     // bytes of the file read so far, compressed ones

  // Reads at most so many bytes and returns their number; 0 at the end. Waits where a pipe has nothing to
  // read. Throws where it can't be read, or what is compressed breaks off or is damaged.
  size_t read(char* to, size_t most);
  // Whether read() wouldn't wait, after at most so many milliseconds; -1: however many. An error is its to
  // tell; a signal, which ends the waiting, is none.
  bool has_input(int milliseconds) const;
  // Throws where so many bytes are more than this machine has memory.
  void check_room(size_t bytes) const;

 private:
  class Gunzip;
  size_t read_raw(char* to, size_t most);
  void look_at_beginning();

  std::string path_;
  int descriptor_ = -1;
  size_t bytes_ = 0;
  int64_t modified_ = 0, position_ = 0;
  bool is_regular_ = false, may_be_compressed_ = false;
  std::string beginning_;     // what look_at_beginning() read
  std::string_view waiting_;  // bytes that are here already
  std::unique_ptr<Gunzip> gunzip_;
};

// Throws "can't read", with the system's reason.
[[noreturn]] void fail_to_read(const std::string& path, int error);

}  // namespace bertie
