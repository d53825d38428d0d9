// Where a run's batches come from: pass after pass over the data.
#pragma once
#include <cstdint>

#include "bertie/data/batches/masking.h"

namespace bertie {

// Everything is a function of (data, seed, pass), so a run can be taken up at any batch of any pass for the
// price of planning that pass. One thread at a time may use a source.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Plans pass 0, 1, … and returns the number of its batches, at least 1.
  virtual int64_t begin_pass(int64_t pass) = 0;
  // Batch 0, 1, … of the pass that was begun last. Throws where there is none.
  virtual MaskedBatch batch(int64_t index) const = 0;
};

}  // namespace bertie
