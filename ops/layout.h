// Operations that move elements and compute nothing. Negative axes count from the end.
#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// The same elements in another shape; one extent may be -1. No copy.
Tensor reshape(const Tensor& x, std::vector<int64_t> extents);

// Axis i of the result is axis order[i] of x: [a, b, c] with {2, 0, 1} → [c, a, b]. Without an order the last
// two are swapped.
Tensor transpose(const Tensor& x, std::vector<int> order = {});

// Indices begin … end-1 of `axis`: [a, b, c] along axis 1 → [a, end − begin, c]. No copy along the first
// axis. Throws unless 0 ≤ begin ≤ end ≤ the axis's extent.
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);

// x cut along `axis` into slices of these sizes, which must add up to its extent; or into `parts` equal ones
// (NumPy's reading of a number; PyTorch's is the size of a part), which must divide it.
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int axis = 0);
std::vector<Tensor> split(const Tensor& x, int64_t parts, int axis = 0);

// One after the other along `axis`; all other extents and the types agree.
Tensor concatenate(const std::vector<Tensor>& parts, int axis = 0);

// n tensors [a, b] side by side along a new axis: [n, a, b], [a, n, b] or, with axis 2 or -1, [a, b, n].
// Their shapes and types agree.
Tensor stack(const std::vector<Tensor>& tensors, int axis = 0);

// y[i] = x[rows[i]]    x [R, …], rows [M] i32 or i64, repeats allowed → y [M, …]. Throws where a row isn't in
// 0 … R-1.
Tensor select_rows(const Tensor& x, const Array& rows);

}  // namespace bertie
