// A batch in parts: a step's logical ones, or such as the memory at hand allows.
#pragma once
#include <vector>

#include "bertie/data/batches/masking.h"

namespace bertie {

// A step's batch in the parts that plan_parts() (batching.h) makes of it, so they are a function of its
// lengths and their number alone. Each knows its place in the step (TokenBatch::first_sequence), so that
// dropout draws in it what it draws in the whole batch. A part may have no scored token, and no sequence.
std::vector<MaskedBatch> cut_batch(const MaskedBatch& batch, int64_t parts);

// As many sequences in each part as `max_tokens` allows; a longer one is a part of its own. Else as above,
// and no part is empty. Throws where max_tokens is below 1.
std::vector<MaskedBatch> split_batch(const MaskedBatch& batch, int64_t max_tokens);

}  // namespace bertie
