#pragma once

namespace bertie {

// The learning rate over a run: it rises linearly to `peak` over the warm-up, then stays, or falls to zero at
// the run's end, linearly or along a half cosine (Loshchilov & Hutter, 2017). No step has rate 0: of N steps,
// W of them warm-up, the first has peak / W, the last of a linear fall peak / (N − W).
struct Schedule {
  enum class Decay { constant, linear, cosine };

  double peak = 0;
  double warmup = 0;  // its share of the run; more than 1: the run ends before it
  Decay decay = Decay::linear;

  // Of the step that takes a run of `length` from `begin` to `end`: step n of N is rate(n, n + 1, N). A run
  // may as well be measured in seconds.
  double rate(double begin, double end, double length) const;
};

}  // namespace bertie
