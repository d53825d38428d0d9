#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// Over the last axis:  softmax(x)ᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)    x [..., n] → [..., n], n ≥ 1.
// A row that holds NaN is NaN as a whole.
Tensor softmax(const Tensor& x);

// The logarithm of it, without the loss of accuracy of taking it afterwards.
Tensor log_softmax(const Tensor& x);

}  // namespace bertie
