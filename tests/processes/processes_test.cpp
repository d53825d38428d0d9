// What several processes do together; started by mpirun, so each of them runs every test, in the same order.
#include "bertie/nn/processes.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "tests/message_of.h"
#include "tests/processes/everyone.h"

namespace bertie {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

std::span<std::byte> bytes_of(std::vector<int32_t>& values) {
  return std::as_writable_bytes(std::span(values));
}

TEST(Processes, KnowTheirPlace) {
  EXPECT_EQ(everyone().count(), launched().count);
  EXPECT_EQ(everyone().rank(), launched().rank);
  EXPECT_THAT(everyone().name(),
              HasSubstr(fmt::format("process {} of {} on ", everyone().rank() + 1, everyone().count())));
}

// Process r sends r·100 + s to process s, (2 r + s) % 4 times.
TEST(Processes, ExchangeBytes) {
  int count = everyone().count(), rank = everyone().rank();
  std::vector<int32_t> sent, expected;
  std::vector<int64_t> to, from;
  for (int other = 0; other < count; ++other) {
    int sends = (2 * rank + other) % 4, gets = (2 * other + rank) % 4;
    sent.insert(sent.end(), sends, rank * 100 + other);
    expected.insert(expected.end(), gets, other * 100 + rank);
    to.push_back(sends * 4);
    from.push_back(gets * 4);
  }
  std::vector<int32_t> received(expected.size());
  everyone().exchange(bytes_of(sent), to, bytes_of(received), from);
  EXPECT_EQ(received, expected);
}

TEST(Processes, GatherBytesInPlace) {
  int count = everyone().count();
  std::vector<int32_t> data, expected;
  std::vector<int64_t> sizes;
  for (int r = 0; r < count; ++r) {
    data.insert(data.end(), r, r == everyone().rank() ? 7 * r : -1);
    expected.insert(expected.end(), r, 7 * r);
    sizes.push_back(4 * r);
  }
  everyone().gather(bytes_of(data), sizes);
  EXPECT_EQ(data, expected);
}

TEST(Processes, GatherTexts) {
  std::vector<std::string> expected;
  for (int r = 0; r < everyone().count(); ++r) expected.push_back(std::string(r * 3, 'a' + r));
  EXPECT_EQ(everyone().gather(expected[everyone().rank()]), expected);
}

TEST(Processes, RefuseSizesThatDontFit) {
  std::vector<int32_t> data(4);
  std::vector<int64_t> sizes(everyone().count(), 0);
  EXPECT_THAT(message_of([&] { everyone().gather(bytes_of(data), sizes); }),
              HasSubstr("must add up to 16 bytes"));
  sizes[0] = 16;
  sizes.push_back(0);
  EXPECT_THAT(message_of([&] { everyone().gather(bytes_of(data), sizes); }),
              HasSubstr("must add up to 16 bytes"));
  sizes.assign(everyone().count(), 0);
  sizes.back() = int64_t{1} << 31;  // which isn't there, nor read
  std::span<std::byte> too_much(bytes_of(data).data(), static_cast<size_t>(sizes.back()));
  EXPECT_THAT(message_of([&] { everyone().gather(too_much, sizes); }),
              HasSubstr("at most 2147483647 bytes can be sent at once, got 2147483648"));
}

TEST(Processes, LetTheFirstWork) {
  int worked = 0;
  everyone().let_first([&] { ++worked; });
  EXPECT_EQ(worked, everyone().is_first() ? 1 : 0);
}

TEST(Processes, HaveWhatTheFirstHas) {
  std::vector<int32_t> data(17'000'000, everyone().is_first() ? 7 : everyone().rank());  // in pieces
  if (everyone().is_first()) data.back() = 8;
  everyone().copy_from_first(bytes_of(data));
  EXPECT_EQ(std::count(data.begin(), data.end(), 7), std::ssize(data) - 1);
  EXPECT_EQ(data.back(), 8);
  EXPECT_EQ(everyone().of_first(std::string(3 + everyone().rank(), 'a')), "aaa");
  EXPECT_EQ(everyone().of_first(0.5 + everyone().rank()), 0.5);
}

TEST(Processes, KnowWhetherAnySaysSo) {
  EXPECT_FALSE(everyone().any(false));
  EXPECT_TRUE(everyone().any(everyone().rank() == everyone().count() - 1));
}

TEST(Processes, TellOnceWhatEachThrows) {
  EXPECT_EQ(message_of([] { everyone().let_each([] { fail("corpus", "there is none"); }); }),
            "[corpus] there is none");
}

TEST(Processes, NameThoseThatFail) {
  if (everyone().count() == 1) GTEST_SKIP();
  int last = everyone().count() - 1;
  std::string name = everyone().gather(everyone().name())[last];
  EXPECT_EQ(message_of([&] {
              everyone().let_each([&] {
                if (everyone().rank() == last) fail("corpus", "there is none");
              });
            }),
            name + ": [corpus] there is none");
  EXPECT_THAT(everyone().gather("goes on"), testing::Each("goes on"));
}

TEST(Processes, LearnWhatTheFirstThrows) {
  EXPECT_EQ(message_of([] { everyone().let_first([] { fail("save", "the disk is full"); }); }),
            "[save] the disk is full");
  EXPECT_THAT(everyone().gather("goes on"), testing::Each("goes on"));
}

}  // namespace
}  // namespace bertie
