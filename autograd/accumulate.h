// The backward pass's own two loops.
#pragma once
#include "autograd/array.h"

namespace bertie {

// into += from, element by element. Same shape and type (f32 or f64).
void add_into(Array& into, const Array& from);

// The gradient of a broadcast: the sum of `gradient` over the axes along which `shape` was repeated.
// broadcast(shape, gradient.shape()) must be gradient.shape().
Array sum_to_shape(const Array& gradient, const Shape& shape);

}  // namespace bertie
