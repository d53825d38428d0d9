#include "bertie/autograd/random.h"

#include <cmath>

#include "bertie/autograd/error.h"

namespace bertie {

std::array<uint32_t, 4> philox(uint64_t key, const std::array<uint32_t, 4>& counter) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  auto [c0, c1, c2, c3] = counter;
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {c0, c1, c2, c3};
}

// The finalizer of SplitMix64 (Steele et al., 2014), a bijection, over both words.
uint64_t mix(uint64_t a, uint64_t b) {
  auto finalize = [](uint64_t z) {
    z += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  };
  return finalize(finalize(a) ^ b);
}

uint32_t Random::next() {
  if (used_ == 4) {
    block_ = philox(key_, {static_cast<uint32_t>(position_), static_cast<uint32_t>(position_ >> 32), 0, 0});
    ++position_;
    used_ = 0;
  }
  return block_[used_++];
}

double Random::uniform() {
  uint64_t high = next() >> 5, low = next() >> 6;  // 27 and 26 bits
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

// Box and Muller, 1958; the second number of each pair is not used.
double Random::normal() {
  double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * M_PI * uniform());
}

uint64_t Random::below(uint64_t bound) {
  BERTIE_CHECK(bound >= 1, "random", "below() needs a bound of at least 1");
  uint64_t rejected = -bound % bound;  // 2^64 mod bound: the incomplete last round is drawn again
  for (;;) {
    uint64_t high = next(), value = high << 32 | next();
    if (value >= rejected) return value % bound;
  }
}

}  // namespace bertie
