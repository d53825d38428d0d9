#pragma once
#include "bertie/autograd/tensor.h"
#include "bertie/ops/packing.h"

namespace bertie {

// Which elements a dropout removes: a function of these numbers and of an element's place, never of the
// thread or of how the step's batch is cut into parts. So a mask is computed again instead of stored.
struct DropoutMask {
  // Probability of removing an element, 0 ≤ rate < 1; what stays is scaled by 1 / (1 − rate).
  double rate = 0;
  uint64_t seed = 0;
  uint64_t step = 0;  // of training
  uint64_t site = 0;  // which dropout of the model: Module::site()

  uint64_t key() const;        // for dropout_row() in ops/kernels/dropout.h
  uint32_t threshold() const;  // an element stays where its random word is at least this: rate · 2³², rounded
};

// Throws, naming `op`, unless 0 ≤ rate < 1.
void check_dropout(const char* op, const DropoutMask& mask);

// y = x · mask / (1 − rate)    x [T, …] → y like x. Row t of the first axis is a token of a sequence of
// `packing`, the other axes are its channels in a row; element (t, c) depends on (seed, step, site,
// first_sequence + sequence, position in the sequence, c). Srivastava et al., 2014, in the "inverted" form.
// Rate 0 returns x itself.
Tensor dropout(const Tensor& x, const Packing& packing, const DropoutMask& mask);

}  // namespace bertie
