#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// y = (x − mean) / √(variance + ε) · weight + bias, mean and variance (divided by H) of each row
// x [..., H]   weight [H]   bias [H] → y [..., H], H ≥ 1. Ba et al., "Layer normalization", 2016.
// A row whose variance overflows is NaN as a whole.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon);

}  // namespace bertie
