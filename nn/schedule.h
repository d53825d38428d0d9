#pragma once
#include <cstdint>

namespace bertie {

// The learning rate over a run: it rises linearly to `peak` over the warm-up, then stays, or falls to zero at
// total_steps linearly or along a half cosine (Loshchilov & Hutter, 2017). No step has rate 0: the first has
// peak / warmup_steps, the last of a linear one peak / (total_steps − warmup_steps).
struct Schedule {
  enum class Decay { constant, linear, cosine };

  double peak = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;
  Decay decay = Decay::linear;

  double rate(int64_t step) const;  // of step 0, 1, …
};

}  // namespace bertie
