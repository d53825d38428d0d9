// How gradients are added up: what may be written in place, and the backward pass's own three loops.
#pragma once
#include <vector>

#include "bertie/autograd/tensor.h"

namespace bertie {

// Adds `gradient`, which the caller hands over, to `sum`, which is of this shape or empty. Writes in place
// only into an array that nobody else holds.
void accumulate(Array& sum, Gradient gradient, const Shape& shape);

// into += from, element by element. Same shape and type (f32, f64 or bf16).
void add_into(Array& into, const Array& from);

// into[ids[i]] += rows[i], in the order of i (a scatter-add).    into [R, …], rows [M, …], ids as row_ids()
// takes them.
void add_rows(Array& into, const Array& rows, const Array& ids);

// ids [M] i32 or i64 as numbers. Throws, naming `op`, the position and the id, where one isn't in
// 0 … rows - 1.
std::vector<int64_t> row_ids(const char* op, const Array& ids, int64_t rows);

// The gradient of a broadcast: the sum of `gradient` over the axes along which `shape` was repeated.
// broadcast(shape, gradient.shape()) must be gradient.shape(). Of bf16 it may be wanted in f32, unrounded.
Array sum_to_shape(const Array& gradient, const Shape& shape, DType type);
inline Array sum_to_shape(const Array& gradient, const Shape& shape) {
  return sum_to_shape(gradient, shape, gradient.dtype());
}

}  // namespace bertie
