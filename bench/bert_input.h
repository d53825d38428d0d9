// The input of the programs that time a BERT.
#pragma once
#include <cstdint>
#include <span>

#include "bertie/autograd/array.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/packing.h"

namespace bertie {

// Sequences of these lengths, one after the other.
Packing packing_of(std::span<const int64_t> lengths);

// count random ids, none of them 0 ([PAD] by custom).    [count] i32
Array random_ids(Random& random, int64_t count, int64_t vocab_size);

}  // namespace bertie
