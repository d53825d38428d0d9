#include "bertie/data/files/input_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr std::string_view gzip_magic = "\x1f\x8b";

}  // namespace

void fail_to_read(const std::string& path, int error) {
  fail("read", "can't read '{}': {}", path, std::generic_category().message(error));
}

class InputFile::Gunzip {
 public:
  explicit Gunzip(InputFile& file) : file_(file), input_(1 << 16) {
    constexpr int gzip_alone = 16;
    BERTIE_CHECK(::inflateInit2(&stream_, MAX_WBITS + gzip_alone) == Z_OK, "read",
                 "zlib has no memory for '{}'", file.path());
  }
  ~Gunzip() { ::inflateEnd(&stream_); }

  size_t read(char* to, size_t most) {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(most, 1 << 30));
    const uInt room = stream_.avail_out;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0 && !may_have_more_ && !fill()) {
        BERTIE_CHECK(between_members_, "read", "'{}' breaks off: its compressed text isn't complete",
                     file_.path());
        return 0;
      }
      // Zeros behind a member are no further one: blocks of tapes are filled with them.
      if (between_members_ && *stream_.next_in == 0) {
        ++stream_.next_in;
        --stream_.avail_in;
        continue;
      }
      between_members_ = false;
      int status = ::inflate(&stream_, Z_NO_FLUSH);
      may_have_more_ = status == Z_OK && stream_.avail_out == 0;
      if (status == Z_STREAM_END) {
        between_members_ = true;
        ++members_;
        status = ::inflateReset(&stream_);
      }
      BERTIE_CHECK(status == Z_OK || status == Z_BUF_ERROR, "read", "'{}' must be compressed by gzip{}: {}",
                   file_.path(), members_ > 0 ? " to its end" : "",
                   stream_.msg != nullptr ? stream_.msg : "damaged");
    }
    return room - stream_.avail_out;
  }
  bool has_bytes() const { return stream_.avail_in > 0; }

 private:
  bool fill() {
    size_t got = file_.read_raw(reinterpret_cast<char*>(input_.data()), input_.size());
    stream_.next_in = input_.data();
    stream_.avail_in = static_cast<uInt>(got);
    return got > 0;
  }

  InputFile& file_;
  std::vector<Bytef> input_;
  z_stream stream_{};
  int64_t members_ = 0;
  bool between_members_ = false;
  bool may_have_more_ = false;  // text that there was no room for
};

// O_NONBLOCK: opening a pipe that nobody writes to would wait. (Its end comes only after somebody has written
// to it; poll() waits for that.) Standard input is taken where it stands, which opening /dev/stdin wouldn't
// do.
InputFile::InputFile(const std::string& path, Kind kind)
    : path_(path),
      descriptor_(kind == Kind::text && path == "-"
                      ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)),
      may_be_compressed_(kind == Kind::text) {
  if (descriptor_ < 0) fail_to_read(path, errno);
  struct stat status {};
  int error = ::fstat(descriptor_, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  is_regular_ = S_ISREG(status.st_mode);
  bool wanted =
      is_regular_ || (kind == Kind::text && (S_ISFIFO(status.st_mode) || ::isatty(descriptor_) != 0));
  if (error != 0 || !wanted) ::close(descriptor_);  // an exception leaves no destructor to do it
  if (error != 0) fail_to_read(path, error);
  BERTIE_CHECK(wanted, "read", "'{}' must be a regular file{}, it is a {}", path,
               kind == Kind::text ? " or a pipe" : "", S_ISFIFO(status.st_mode) ? "pipe" : "device");
  bytes_ = static_cast<size_t>(status.st_size);
  modified_ = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

InputFile::InputFile(std::string name, std::string_view bytes)
    : path_(std::move(name)), bytes_(bytes.size()), is_regular_(true), waiting_(bytes) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

size_t InputFile::read_raw(char* to, size_t most) {
  if (!waiting_.empty() || descriptor_ < 0) {
    size_t got = waiting_.copy(to, most);
    waiting_.remove_prefix(got);
    position_ += static_cast<int64_t>(got);
    return got;
  }
  for (;;) {
    if (!has_input(-1)) continue;
    ssize_t got = ::read(descriptor_, to, most);
    if (got >= 0) {
      position_ += got;
      return static_cast<size_t>(got);
    }
    if (errno != EINTR && errno != EAGAIN) fail_to_read(path_, errno);
  }
}

// Two bytes tell whether it is compressed; one, where it can't be the first of those.
void InputFile::look_at_beginning() {
  beginning_.resize(gzip_magic.size());
  size_t got = 0;
  do {
    size_t more = read_raw(beginning_.data() + got, beginning_.size() - got);
    if (more == 0) break;
    got += more;
  } while (got < beginning_.size() && beginning_[0] == gzip_magic[0]);
  beginning_.resize(got);
  waiting_ = beginning_;
  position_ = 0;
  if (path_.ends_with(".gz") || beginning_ == gzip_magic) gunzip_ = std::make_unique<Gunzip>(*this);
}

size_t InputFile::read(char* to, size_t most) {
  if (may_be_compressed_) {
    may_be_compressed_ = false;
    look_at_beginning();
  }
  return gunzip_ ? gunzip_->read(to, most) : read_raw(to, most);
}

bool InputFile::has_input(int milliseconds) const {
  if (!waiting_.empty() || descriptor_ < 0 || (gunzip_ && gunzip_->has_bytes())) return true;
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
