// Files that appear whole or not at all: written aside, flushed, renamed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bertie {

// A file under construction. Its bytes go to a temporary file in the folder of `path`; commit() flushes them
// to the disk and gives the file its name, replacing an earlier one. Without commit() nothing appears and the
// temporary goes. Every function throws an Error that names `path` and the system's reason; then the
// temporary is gone, too.
class AtomicFile {
 public:
  // `path` must be free or a regular file, in a folder that exists and can be written.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  // Replaces bytes written before, from `position` on: a header whose contents are known only at the end.
  void overwrite(int64_t position, std::string_view bytes);
  void commit();  // once, and nothing after it

 private:
  void flush();
  void discard() noexcept;
  [[noreturn]] void fail_with(int error);

  std::string path_;
  std::string temporary_;  // empty once renamed or removed
  std::string buffer_;     // gathers small writes
  int64_t written_ = 0;    // bytes in all
  int descriptor_ = -1;
};

// Makes the names within a folder ("": the current one), new and old, survive a loss of power. Zero or the
// error of the system.
int sync_folder(const std::string& folder);

void write_file_atomically(const std::string& path, std::string_view contents);

}  // namespace bertie
