// A library to preload: kills the process (SIGKILL) at the n-th call that changes files in a folder, so that
// a script can kill a program once after each of them.
//   KILL_FOLDER=/absolute/path  calls on files in it count, those without a name included
//   KILL_AT=n                   1, 2, …; 0: none, it only counts
//   KILL_COUNT=file             gets a line per call
//   KILL_NAMELESS=no            a file system without nameless files (O_TMPFILE)
// A call counts when it has been made. A write counts twice: when its first half has been written, and whole.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Function>
Function* next(const char* name, Function*) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool is_within(const char* path) {
  static const char* folder = std::getenv("KILL_FOLDER");
  return folder && path && std::strncmp(path, folder, std::strlen(folder)) == 0;
}

bool is_within(int descriptor) {
  char path[4096];
  ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = 0;
  return is_within(path);
}

void count(const char* call) {
  static std::atomic<long> calls = 0;
  static const long kill_at = std::atol(std::getenv("KILL_AT") ? std::getenv("KILL_AT") : "0");
  long number = ++calls;
  if (const char* file = std::getenv("KILL_COUNT")) {
    if (std::FILE* log = std::fopen(file, "a")) {
      std::fprintf(log, "%ld %s\n", number, call);
      std::fclose(log);
    }
  }
  if (number == kill_at) ::kill(::getpid(), SIGKILL);
}

template <class Place, class Result>
Result counted(const char* call, Place place, Result result) {
  if (result >= 0 && is_within(place)) {
    int error = errno;
    count(call);
    errno = error;
  }
  return result;
}

constexpr int changes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;

}  // namespace

#define NEXT(name) next(#name, &::name)

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  const char* nameless = std::getenv("KILL_NAMELESS");
  if ((flags & O_TMPFILE) == O_TMPFILE && nameless && std::strcmp(nameless, "no") == 0) {
    errno = EOPNOTSUPP;
    return -1;
  }
  int result = NEXT(open)(path, flags, mode);
  return flags & changes ? counted("open", path, result) : result;
}

int fsync(int descriptor) { return counted("fsync", descriptor, NEXT(fsync)(descriptor)); }
int fdatasync(int descriptor) { return counted("fdatasync", descriptor, NEXT(fdatasync)(descriptor)); }
int unlink(const char* path) { return counted("unlink", path, NEXT(unlink)(path)); }
int remove(const char* path) { return counted("remove", path, NEXT(remove)(path)); }
int mkdir(const char* path, mode_t mode) { return counted("mkdir", path, NEXT(mkdir)(path, mode)); }
int rename(const char* from, const char* to) { return counted("rename", to, NEXT(rename)(from, to)); }
int linkat(int from, const char* path, int to, const char* name, int flags) {
  return counted("linkat", name, NEXT(linkat)(from, path, to, name, flags));
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  if (size < 2 || !is_within(descriptor))
    return counted("write", descriptor, NEXT(write)(descriptor, bytes, size));
  ssize_t half = counted("half of a write", descriptor, NEXT(write)(descriptor, bytes, size / 2));
  if (half < 0) return half;
  ssize_t rest =
      NEXT(write)(descriptor, static_cast<const char*>(bytes) + half, size - static_cast<size_t>(half));
  return counted("write", descriptor, rest < 0 ? half : half + rest);
}
}
