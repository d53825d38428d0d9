#pragma once
#include "bertie/autograd/array.h"

namespace bertie {

// y[c] = Σ_t x[t, c]    x [T, C] → y [C], of bf16 in f32. The gradient of what was added to every row. Fixed
// blocks of rows are summed, then the blocks' sums, in order: the same bits on any number of threads.
Array column_sum(const Array& x);

}  // namespace bertie
