#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// y[t] = table[ids[t]]    table [V, H], ids [T] i32 or i64 → y [T, H]. An id that occurs more than once
// collects the sum of its gradients. Throws where an id isn't in 0 … V-1.
Tensor embedding(const Tensor& table, const Array& ids);

}  // namespace bertie
