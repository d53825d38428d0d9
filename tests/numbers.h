// The elements of an array of any type.
#pragma once
#include <vector>

#include "bertie/autograd/array.h"

namespace bertie {

inline std::vector<double> numbers(const Array& array) { return array.cast(DType::f64).to_vector<double>(); }

}  // namespace bertie
