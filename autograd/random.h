// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// 2011). A number is a function of (key, counter), so it can be recomputed instead of stored, on any thread
// or machine.
#pragma once
#include <array>
#include <cstdint>

namespace bertie {

// Four independent 32-bit numbers for one key and one counter.
std::array<uint32_t, 4> philox(uint64_t key, const std::array<uint32_t, 4>& counter);

// Mixes two numbers into a key: distinct inputs give unrelated keys.
uint64_t mix(uint64_t a, uint64_t b);

// A sequence of random numbers for code that draws one after the other (initial weights, masking, shuffling).
// `stream` separates uses of one seed.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : key_(mix(seed, stream)) {}
  uint32_t next();                 // uniform over all 32-bit numbers
  double uniform();                // in [0, 1), 53 random bits
  double normal();                 // mean 0, variance 1
  uint64_t below(uint64_t bound);  // uniform over 0 … bound-1, without bias; bound ≥ 1

 private:
  uint64_t key_;
  uint64_t position_ = 0;  // of the next block of four
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace bertie
