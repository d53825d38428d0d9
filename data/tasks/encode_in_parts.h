// Encodes examples in parallel.
#pragma once
#include <cstdint>
#include <vector>

#include "bertie/autograd/threads.h"

namespace bertie {

// encode(i, part) adds example i, 0 … count − 1, to what a part of them has become: Part::append() puts the
// parts together in their order.
template <class Part, class Encode>
Part encode_in_parts(int64_t count, Encode&& encode) {
  constexpr int64_t grain = 128;
  std::vector<Part> parts((count + grain - 1) / grain);
  parallel_ranges(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) encode(i, parts[begin / grain]);
  });
  Part all;
  for (Part& part : parts) {
    all.append(part);
    part = {};  // its memory is needed no more
  }
  return all;
}

}  // namespace bertie
