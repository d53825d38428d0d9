#include "apps/run/tensorboard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers in the files are little-endian");

template <class T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Protocol buffers: a field is its number and type, then its value.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
std::string field(int number, int64_t value) {
  return varint(number << 3 | 0) + varint(static_cast<uint64_t>(value));
}
std::string field(int number, double value) { return varint(number << 3 | 1) + bytes_of(value); }
std::string field(int number, float value) { return varint(number << 3 | 5) + bytes_of(value); }
std::string field(int number, std::string_view bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

// The fields of event.proto and summary.proto that are used.
std::string event(double time, int64_t step, const std::string& what) {
  return field(1, time) + field(2, step) + what;
}
std::string file_version() { return field(3, std::string_view("brain.Event:2")); }
std::string session_start() { return field(7, std::string_view(field(1, int64_t{1}))); }
std::string scalar(const std::string& tag, double value) {  // one of the values of a summary
  return field(1, std::string_view(field(1, std::string_view(tag)) + field(2, static_cast<float>(value))));
}

// The numbers below a value, each with the path of its keys.
std::string scalars(const std::string& tag, const Record& value) {
  std::string all;
  if (value.is_number()) all = scalar(tag, value.get<double>());
  if (value.is_object())
    for (const auto& [key, below] : value.items()) all += scalars(tag.empty() ? key : tag + "/" + key, below);
  return all;
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  std::string host = name;
  for (char& c : host)
    if (c == '/') c = '-';
  return host;
}

}  // namespace

// Bit by bit, with the polynomial's bits in reverse: records are short.
uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

EventFile::EventFile(const std::string& folder, int64_t first_step, double time) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  BERTIE_CHECK(!error, "tensorboard", "can't make the folder {}: {}", folder, error.message());
  path_ = fmt::format("{}/events.out.tfevents.{:010.0f}.{}.{}", folder, std::floor(time), host_name(),
                      ::getpid());
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  BERTIE_CHECK(descriptor_ >= 0, "tensorboard", "can't write {}: {}", path_,
               std::generic_category().message(errno));
  write_event(event(time, 0, file_version()));
  // What has this step or a later one goes; a resumed run keeps what is of the step itself.
  write_event(event(time, first_step == 0 ? 0 : first_step + 1, session_start()));
}

EventFile::~EventFile() { ::close(descriptor_); }

void EventFile::add(const Record& record, double time) {
  Record values = record;
  values.erase("kind");
  values.erase("step");
  std::string prefix = record.at("kind") == "training" ? "training" : "";
  std::string summary = scalars(prefix, values);
  write_event(event(time, record.at("step").get<int64_t>(), field(5, std::string_view(summary))));
}

// A TFRecord: the length, its checksum, the bytes, theirs. Checksums are rotated and shifted, since one of
// bytes that hold checksums themselves would say little.
void EventFile::write_event(std::string_view event) {
  auto masked = [](std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8; };
  std::string length = bytes_of(uint64_t{event.size()});
  std::string text = length + bytes_of(masked(length)) + std::string(event) + bytes_of(masked(event));
  ssize_t written = ::write(descriptor_, text.data(), text.size());
  std::string reason = written < 0 ? std::generic_category().message(errno) : "the disk is full";
  if (written == static_cast<ssize_t>(text.size())) {
    written_ += written;
    return;
  }
  // Behind half of a record no other would be read.
  if (::ftruncate(descriptor_, written_) == 0) ::lseek(descriptor_, written_, SEEK_SET);
  fail("tensorboard", "can't write {}: {}", path_, reason);
}

}  // namespace bertie
