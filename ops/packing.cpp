#include "bertie/ops/packing.h"

#include "bertie/autograd/error.h"

namespace bertie {

void check_packing(const char* op, const Packing& packing, int64_t tokens) {
  const std::vector<int64_t>& offsets = packing.offsets;
  BERTIE_CHECK(!offsets.empty() && offsets.front() == 0, op, "offsets must start with 0");
  for (size_t n = 1; n < offsets.size(); ++n)
    BERTIE_CHECK(offsets[n] >= offsets[n - 1], op, "offsets must not fall: {} follows {} at {}", offsets[n],
                 offsets[n - 1], n);
  BERTIE_CHECK(offsets.back() == tokens, op,
               "offsets must end at the number of tokens: {} tokens, last offset {}", tokens, offsets.back());
}

}  // namespace bertie
