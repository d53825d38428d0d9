#include "tests/fuzz/fuzzer_files.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bertie/data/files/mapped_file.h"

// The linker sends every call of mmap() and munmap() here (--wrap). A mapped file ends within a page whose
// rest can be read: the sanitizer is told that it can't.
extern "C" {
void* __real_mmap(void* wanted, size_t bytes, int protection, int flags, int file, off_t offset);
int __real_munmap(void* data, size_t bytes);

static size_t whole_pages(size_t bytes) {
  static const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

void* __wrap_mmap(void* wanted, size_t bytes, int protection, int flags, int file, off_t offset) {
  void* data = __real_mmap(wanted, bytes, protection, flags, file, offset);
  if (data != MAP_FAILED && file >= 0)
    __asan_poison_memory_region(static_cast<char*>(data) + bytes, whole_pages(bytes) - bytes);
  return data;
}

int __wrap_munmap(void* data, size_t bytes) {
  __asan_unpoison_memory_region(data, whole_pages(bytes));
  return __real_munmap(data, bytes);
}
}

namespace bertie {
namespace {

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

class OutputFolder {
 public:
  OutputFolder() : path_(std::filesystem::temp_directory_path() / "bertie_fuzzer_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) give_up(path_.c_str());
  }
  ~OutputFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

const std::string& input_file(const uint8_t* bytes, size_t size) {
  static const int file = ::memfd_create("input", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, bytes, size, 0) != static_cast<ssize_t>(size))
    give_up(path.c_str());
  return path;
}

const std::string& output_file() {
  static const OutputFolder folder;
  static const std::string path = folder.path() + "/output";
  return path;
}

std::string output_bytes() { return read_file(output_file()); }

void promise(bool kept, const char* file, int line) {
  if (kept) return;
  std::fprintf(stderr, "%s:%d: a promise is broken\n", file, line);
  std::abort();
}

}  // namespace bertie
