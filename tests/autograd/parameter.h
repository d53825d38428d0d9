// Parameters of numbers, and their gradients as numbers.
#pragma once
#include <vector>

#include "bertie/autograd/tensor.h"

namespace bertie {

inline Tensor parameter(const std::vector<double>& values) { return Tensor::parameter(Array::from(values)); }
inline std::vector<double> grad(const Tensor& x) { return x.grad().to_vector<double>(); }

}  // namespace bertie
