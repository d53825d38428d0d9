// Files that appear whole or not at all: written aside, flushed, renamed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bertie {

// A file under construction. Its bytes go to a file without a name in the folder of `path`; commit() flushes
// them to the disk and gives the file its name, replacing an earlier one. Without commit() nothing appears,
// however the program ends. Every function throws an Error that names `path` and the system's reason; then
// the file is gone.
//
// A file system without nameless files (O_TMPFILE) gets one named `path`.tmp-PROCESS-NUMBER, and so does
// every one for the moment in which an earlier file is replaced. One that a killed program left behind goes
// when the next AtomicFile of the same `path` is made.
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
  std::string temporary_name() const;
  void open_temporary();
  void take_name();
  void flush();
  void discard() noexcept;
  [[noreturn]] void fail_with(int error);

  std::string path_;
  std::string temporary_;  // its name, if it has one
  std::string buffer_;     // gathers small writes
  int64_t written_ = 0;    // bytes in all
  int descriptor_ = -1;
};

// Removes what killed programs left of files that were to become `path`. Each AtomicFile does so; a program
// that writes no other of that name may want it, too.
void remove_left_behind(const std::string& path);

// Makes the names within a folder ("": the current one), new and old, survive a loss of power. Zero or the
// error of the system.
int sync_folder(const std::string& folder);

void write_file_atomically(const std::string& path, std::string_view contents);

}  // namespace bertie
