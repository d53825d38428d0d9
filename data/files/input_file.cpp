#include "bertie/data/files/input_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "bertie/autograd/error.h"

namespace bertie {

void fail_to_read(const std::string& path, int error) {
  fail("read", "can't read '{}': {}", path, std::generic_category().message(error));
}

// O_NONBLOCK: opening a pipe that nobody writes to would wait. (Its end comes only after somebody has written
// to it; poll() waits for that.) Standard input is taken where it stands, which opening /dev/stdin wouldn't
// do.
InputFile::InputFile(const std::string& path, Kind kind)
    : path_(path),
      descriptor_(kind == Kind::text && path == "-"
                      ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
  if (descriptor_ < 0) fail_to_read(path, errno);
  struct stat status {};
  int error = ::fstat(descriptor_, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  bool wanted = S_ISREG(status.st_mode) ||
                (kind == Kind::text && (S_ISFIFO(status.st_mode) || ::isatty(descriptor_) != 0));
  if (error != 0 || !wanted) ::close(descriptor_);  // an exception leaves no destructor to do it
  if (error != 0) fail_to_read(path, error);
  BERTIE_CHECK(wanted, "read", "'{}' must be a regular file{}, it is a {}", path,
               kind == Kind::text ? " or a pipe" : "", S_ISFIFO(status.st_mode) ? "pipe" : "device");
  bytes_ = static_cast<size_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

size_t InputFile::read(char* to, size_t most) {
  for (;;) {
    if (!has_input(-1)) continue;
    ssize_t got = ::read(descriptor_, to, most);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR && errno != EAGAIN) fail_to_read(path_, errno);
  }
}

bool InputFile::has_input(int milliseconds) const {
  pollfd waiting{descriptor_, POLLIN, 0};
  int ready = ::poll(&waiting, 1, milliseconds);
  return ready > 0 || (ready < 0 && errno != EINTR);
}

void InputFile::check_room(size_t bytes) const {
  double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  BERTIE_CHECK(static_cast<double>(bytes) <= memory, "read",
               "'{}' must fit into memory: {:.1f} GB are wanted, this machine has {:.1f}", path_,
               static_cast<double>(bytes) / 1e9, memory / 1e9);
}

}  // namespace bertie
