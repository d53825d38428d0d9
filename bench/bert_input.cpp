#include "bench/bert_input.h"

namespace bertie {

Packing packing_of(std::span<const int64_t> lengths) {
  Packing packing;
  for (int64_t length : lengths) packing.offsets.push_back(packing.tokens() + length);
  return packing;
}

Array random_ids(Random& random, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(1 + random.below(vocab_size - 1));
  return Array::from(ids);
}

}  // namespace bertie
