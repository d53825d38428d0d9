// Sums, means, maxima and log Σ exp over chosen axes.
#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// Axes count from 0, or from the end when negative; each at most once. No axes: all of them. A reduced axis
// disappears unless `keep_dims` leaves it with extent 1.
struct ReduceOptions {
  std::vector<int> axes;
  bool keep_dims = false;
};

Tensor sum(const Tensor& x, const ReduceOptions& options = {});
Tensor mean(const Tensor& x, const ReduceOptions& options = {});  // throws over no elements

// The gradient goes to the first of equal maxima. NaN counts as the largest. Throws over no elements.
Tensor max(const Tensor& x, const ReduceOptions& options = {});

// log Σ exp(x), which no large x overflows. −∞ where every x is, or over no elements; NaN where one is NaN or
// +∞. The gradient is the softmax over those axes; 0 where all are −∞.
Tensor log_sum_exp(const Tensor& x, const ReduceOptions& options = {});

// Index of the first maximum along one axis, i64, in the shape without that axis. Throws over no elements.
Array argmax(const Array& x, int axis = -1);

}  // namespace bertie
