// How a packed batch lies in memory: N sequences of any length in a row, no padding.
#pragma once
#include <cstdint>
#include <vector>

namespace bertie {

struct Packing {
  // [N+1]: sequence n is rows offsets[n] … offsets[n+1]-1; starts at 0, never falls.
  std::vector<int64_t> offsets{0};
  int64_t first_sequence = 0;  // index of sequence 0 within the whole step's batch, for dropout

  int64_t sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }
};

// Throws, naming `op`, unless the offsets start at 0, never fall and end at `tokens`.
void check_packing(const char* op, const Packing& packing, int64_t tokens);

}  // namespace bertie
