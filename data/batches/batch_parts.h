// A step's batch in parts, each small enough for the memory at hand.
#pragma once
#include <vector>

#include "bertie/data/batches/masking.h"

namespace bertie {

// Consecutive sequences of the batch, as many in each part as `max_tokens` allows; a longer sequence is a
// part of its own. So the parts are a function of the batch's lengths and max_tokens alone. Each knows its
// place in the step (TokenBatch::first_sequence), so that dropout draws in it what it draws in the whole
// batch. A part may have no scored token. Throws where max_tokens is below 1.
std::vector<MaskedBatch> split_batch(const MaskedBatch& batch, int64_t max_tokens);

}  // namespace bertie
