// Operations that move elements and compute nothing.
#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// The same elements in another shape; one extent may be -1. No copy.
Tensor reshape(const Tensor& x, std::vector<int64_t> extents);

// Axis i of the result is axis order[i] of x: [a, b, c] with {2, 0, 1} → [c, a, b]. Without an order the last
// two are swapped.
Tensor transpose(const Tensor& x, std::vector<int> order = {});

// Rows begin … end-1 of the first axis. No copy.
Tensor slice_rows(const Tensor& x, int64_t begin, int64_t end);

// One after the other along `axis`; all other extents and the types agree.
Tensor concatenate(const std::vector<Tensor>& parts, int axis = 0);

// y[i] = x[rows[i]]    x [R, …], rows [M] i32 or i64, repeats allowed → y [M, …]. Throws where a row isn't in
// 0 … R-1.
Tensor select_rows(const Tensor& x, const Array& rows);

}  // namespace bertie
