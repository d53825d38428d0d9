#include "bertie/autograd/memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "bertie/autograd/array.h"
#include "bertie/autograd/backward.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"
#include "tests/resident_memory.h"

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

#ifndef BERTIE_SANITIZE  // there every array is a malloc of its own
TEST(Memory, StepsOfRandomSizesStopAskingTheSystem) {
  Tensor W = Tensor::parameter(Array::full({64, 64}, 0.01, DType::f32));
  Random random(3);
  auto step = [&](int64_t tokens) {
    Tensor x = Array::full({tokens, 64}, 1, DType::f32);
    Tensor h = x;
    for (int layer = 0; layer < 4; ++layer) h = gelu(linear(h, W, Tensor()));
    backward(mean(h));
    W.zero_grad();
  };
  int64_t live = memory_counters().live_bytes;
  for (int i = 0; i < 20; ++i) step(1000);
  MemoryCounters warm = memory_counters();
  for (int i = 0; i < 1000; ++i) step(1 + static_cast<int64_t>(random.below(1000)));
  EXPECT_EQ(memory_counters().system_requests, warm.system_requests);
  EXPECT_EQ(memory_counters().reserved_bytes, warm.reserved_bytes);
  EXPECT_LE(memory_counters().peak_bytes, warm.peak_bytes);
  EXPECT_EQ(memory_counters().live_bytes, live);
}

// Blocks of random sizes, each filled with its own number: none may lie on another, and what is given back
// joins its neighbors to what serves a large one.
TEST(Memory, BlocksLieApartAndJoinAgain) {
  Random random(5);
  std::vector<std::pair<Array, int64_t>> blocks;
  int64_t requests = 0, live = memory_counters().live_bytes;
  for (int round = 0; round < 2; ++round) {
    for (int64_t i = 0; i < 3000; ++i) {
      if (blocks.size() < 300 || random.below(2)) {
        Array block = Array::empty({1 + static_cast<int64_t>(random.below(20'000))}, DType::i64);
        std::fill_n(block.mutable_data<int64_t>(), block.size(), i);
        blocks.push_back({block, i});
      } else {
        std::swap(blocks[random.below(blocks.size())], blocks.back());
        auto [block, number] = blocks.back();
        for (int64_t value : block.to_vector<int64_t>()) ASSERT_EQ(value, number);
        blocks.pop_back();
      }
    }
    for (auto& [block, number] : blocks)
      for (int64_t value : block.to_vector<int64_t>()) ASSERT_EQ(value, number);
    // Given back in random order, all is one piece again: as much as there was in one block.
    for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[random.below(i)]);
    blocks.clear();
    EXPECT_EQ(memory_counters().live_bytes, live);
    if (round == 0) Array::empty({int64_t{240} << 17}, DType::i64);  // nearly a region
    if (round == 0) requests = memory_counters().system_requests;
  }
  Array::empty({int64_t{240} << 17}, DType::i64);
  EXPECT_EQ(memory_counters().system_requests, requests);
}

TEST(Memory, WhatIsFreeIsGivenBack) {
  constexpr int64_t bytes = int64_t{64} << 20, slack = int64_t{4} << 20;
  give_back_free_memory();  // what other tests left
  int64_t before = resident_memory();
  Array below = Array::full({1000}, 3, DType::f32), large = Array::full({bytes / 4}, 5, DType::f32),
        above = Array::full({1000}, 7, DType::f32);
  ASSERT_GE(resident_memory() - before, bytes - slack);
  give_back_free_memory();  // of what lives nothing
  ASSERT_GE(resident_memory() - before, bytes - slack);
  auto holds =
      [&](float value) {  // looked at where it lies: a copy would be in malloc's memory, and may stay there
        return std::all_of(large.data<float>(), large.data<float>() + large.size(),
                           [&](float x) { return x == value; });
      };
  EXPECT_TRUE(holds(5));
  MemoryCounters counters = memory_counters();
  large = {};
  give_back_free_memory();
  EXPECT_LE(resident_memory() - before, slack);
  EXPECT_EQ(below.to_vector<float>(), std::vector<float>(1000, 3));
  EXPECT_EQ(above.to_vector<float>(), std::vector<float>(1000, 7));
  EXPECT_EQ(memory_counters().reserved_bytes, counters.reserved_bytes);
  large = Array::full({bytes / 4}, 9, DType::f32);  // and wanted again
  EXPECT_TRUE(holds(9));
  EXPECT_EQ(memory_counters().system_requests, counters.system_requests);
}

// Pages that hold the end of one array and the beginning of the next, with free memory between or without.
TEST(Memory, WhatLivesBesideItStays) {
  Random random(7);
  std::vector<std::pair<Array, int64_t>> blocks;
  for (int64_t i = 1; i <= 600; ++i) {
    Array block = Array::empty({1 + static_cast<int64_t>(random.below(3000))}, DType::i64);
    std::fill_n(block.mutable_data<int64_t>(), block.size(), i);
    blocks.push_back({block, i});
  }
  std::erase_if(blocks, [](const auto& block) { return block.second % 3 != 0; });
  give_back_free_memory();
  for (auto& [block, number] : blocks)
    for (int64_t value : block.to_vector<int64_t>()) ASSERT_EQ(value, number);
}
#endif

}  // namespace
}  // namespace bertie
