#include "bertie/autograd/random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace bertie {
namespace {

TEST(Random, GivesNumbersThatDontRepeat) {
  std::set<uint64_t> seen;
  for (uint64_t seed : {1, 2})
    for (uint64_t stream : {0, 1}) {
      Random random(seed, stream);
      for (int i = 0; i < 1000; ++i) {
        uint64_t high = random.next();
        seen.insert(high << 32 | random.next());
      }
    }
  EXPECT_EQ(seen.size(), 4000u);
}

// The bits of each are as often 0 as 1, and the moments those of the distribution: 10,000 draws of a mean
// have a standard deviation of 1/100 of one's.
TEST(Random, HasTheDistributionsItNames) {
  constexpr int draws = 10'000;
  Random random(1);
  double mean = 0, square = 0, uniform = 0, low_half = 0;
  int bits[40] = {};
  for (int i = 0; i < draws; ++i) {
    double normal = random.normal(), u = random.uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    mean += normal / draws;
    square += normal * normal / draws;
    uniform += u / draws;
    low_half += (u < 0.25) / static_cast<double>(draws);
    uint64_t value = random.below(uint64_t{1} << 40);
    ASSERT_LT(value, uint64_t{1} << 40);
    for (int bit = 0; bit < 40; ++bit) bits[bit] += value >> bit & 1;
  }
  EXPECT_NEAR(mean, 0, 0.05);
  EXPECT_NEAR(square, 1, 0.07);
  EXPECT_NEAR(uniform, 0.5, 0.015);
  EXPECT_NEAR(low_half, 0.25, 0.02);
  for (int bit = 0; bit < 40; ++bit) EXPECT_NEAR(bits[bit], draws / 2, 250) << bit;
  int thirds[3] = {};
  for (int i = 0; i < draws; ++i) ++thirds[random.below(3)];
  for (int count : thirds) EXPECT_NEAR(count, draws / 3.0, 250);
}

TEST(Random, IsPhilox) {
  // The known answers of the Random123 library's kat_vectors for philox4x32-10.
  EXPECT_EQ(philox(0, {0, 0, 0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~uint64_t{0}, {~0u, ~0u, ~0u, ~0u}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}
}  // namespace
}  // namespace bertie
