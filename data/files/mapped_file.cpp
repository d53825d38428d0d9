#include "bertie/data/files/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "bertie/autograd/error.h"
#include "bertie/data/files/input_file.h"

namespace bertie {
namespace {

// What git has in a file's place where its extension for large files wasn't there to fetch it.
void refuse_git_lfs_pointer(const std::string& path, std::string_view contents) {
  BERTIE_CHECK(!contents.starts_with("version https://git-lfs.github.com/spec/"), "read",
               "'{}' is a Git LFS pointer in place of the file: `git lfs pull` fetches that", path);
}

std::string read_all(InputFile& file) {
  // What the system says of a pipe or of a growing file is no bound, so read until there is no more.
  size_t room = std::max<size_t>(file.bytes() + 1, 1 << 16), filled = 0;
  file.check_room(room);
  std::string contents(room, '\0');
  while (size_t got = file.read(contents.data() + filled, contents.size() - filled)) {
    filled += got;
    if (filled < contents.size()) continue;
    file.check_room(2 * filled);
    contents.resize(2 * filled);
  }
  contents.resize(filled);
  refuse_git_lfs_pointer(file.path(), contents);
  return contents;
}

}  // namespace

MappedFile map_file(const std::string& path) {
  InputFile file(path, InputFile::Kind::regular);
  size_t bytes = file.bytes();
  if (bytes == 0) return {};  // the system maps no empty files
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (data == MAP_FAILED) fail_to_read(path, errno);
  std::shared_ptr<const void> owner(data, [bytes](void* mapped) { ::munmap(mapped, bytes); });
  MappedFile result{std::move(owner), std::string_view(static_cast<const char*>(data), bytes)};
  refuse_git_lfs_pointer(path, result.bytes);
  return result;
}

std::shared_ptr<const void> owner_of(const MappedFile& file, std::string_view bytes) {
  return {bytes.data(), [whole = file.owner, size = bytes.size()](const void* data) {
            static const uintptr_t page = sysconf(_SC_PAGESIZE);
            auto begin = reinterpret_cast<uintptr_t>(data), end = begin + size;
            begin = (begin + page - 1) / page * page;
            end = end / page * page;
            if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
          }};
}

std::string read_file(const std::string& path) {
  InputFile file(path, InputFile::Kind::regular);
  return read_all(file);
}

std::string read_text(const std::string& path) {
  InputFile file(path, InputFile::Kind::text);
  return read_all(file);
}

}  // namespace bertie
