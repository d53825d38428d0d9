#include "bertie/autograd/memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "bertie/autograd/array.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

// Addresses that this process has taken, in bytes.
int64_t address_space() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmSize:")) return std::stoll(line.substr(7)) * 1024;
  return -1;
}

// By default malloc maps a block of this size anew, as glibc's limit is 128 KiB until one is freed.
bool malloc_is_tuned() {
  size_t before = mallinfo2().hblks;
  void* volatile block = std::malloc(1 << 20);
  bool is_mapped = mallinfo2().hblks > before;
  std::free(block);
  return !is_mapped;
}

// Says on standard error what the first array did to the process.
[[noreturn, maybe_unused]] void report_first_array(const MemoryOptions& options = {}) {
  set_memory_options(options);
  int64_t before = address_space();
  Array array = Array::zeros({1000}, DType::f32);
  bool reserved = address_space() - before >= int64_t{1} << 40;
  fmt::print(stderr, "malloc {}, addresses {}, sum {}", malloc_is_tuned() ? "tuned" : "untouched",
             reserved ? "reserved" : "not reserved", array.item(999));
  std::exit(0);
}

[[noreturn, maybe_unused]] void use_two_regions() {
  set_memory_options({.reserve_addresses = false});
  auto write_end = [](int64_t size, float value) {
    Array array = Array::empty({size}, DType::f32);
    array.mutable_data<float>()[size - 1] = value;
    return array;
  };
  {
    Array one = write_end(100'000'000, 1);
    Array two = write_end(100'000'000, 2);
    if (one.item(99'999'999) != 1) std::exit(1);
  }
  Array again = write_end(100'000'000, 3);
  fmt::print(stderr, "{} after {} requests", again.item(99'999'999), memory_counters().system_requests);
  std::exit(0);
}

[[noreturn]] void set_options_before_and_after() {
  memory_counters();  // makes no array
  std::string before = message_of([] { set_memory_options({false, false}); });
  Array::zeros({1}, DType::f32);
  fmt::print(stderr, "{}, {}", before, message_of([] { set_memory_options({}); }));
  std::exit(0);
}

// Options hold for a process, so each of these has one of its own: it is started anew and runs up to
// EXPECT_EXIT, where nothing has made an array yet.
class MemoryOptionsTest : public testing::Test {
 protected:
  MemoryOptionsTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  static constexpr auto success = [](int status) { return status == 0; };
};

TEST_F(MemoryOptionsTest, ComeBeforeTheFirstArray) {
  EXPECT_EXIT(set_options_before_and_after(), success,
              "^no error, \\[memory\\] options must be set before the first array");
}

#ifndef BERTIE_SANITIZE  // which has its own malloc and reserves nothing
TEST_F(MemoryOptionsTest, TheFirstArrayTunesMallocAndReservesAddresses) {
  EXPECT_EXIT(report_first_array(), success, "^malloc tuned, addresses reserved, sum 0");
}

TEST_F(MemoryOptionsTest, EitherCanBeDeclined) {
  EXPECT_EXIT(report_first_array({.tune_malloc = false}), success,
              "^malloc untouched, addresses reserved, sum 0");
  EXPECT_EXIT(report_first_array({.reserve_addresses = false}), success,
              "^malloc tuned, addresses not reserved, sum 0");
}

TEST_F(MemoryOptionsTest, RegionsAnywhereServeAsWell) {
  EXPECT_EXIT(use_two_regions(), success, "^3 after 2 requests");
}
#endif

}  // namespace
}  // namespace bertie
