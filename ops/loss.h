#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

struct CrossEntropyOptions {
  // What the sum over rows is divided by; 0: the number of rows that are not ignored. A step whose batch is
  // computed in parts gives the whole step's number, so that the parts' losses and gradients add up.
  double denominator = 0;
  double label_smoothing = 0;  // ε, 0 ≤ ε ≤ 1: the target is (1 − ε) · one-hot + ε / V (Szegedy et al., 2016)
  int64_t ignore_index = -100;  // rows with this label count for nothing
};

// loss = Σ_t −log softmax(logits[t])[labels[t]] / denominator
// logits [T, V], labels [T] i32 or i64 → one number. Softmax and logarithm in one: with s = logsumexp(z),
// −log p_y = s − z_y, and d/dz = softmax(z) − target. Throws where a label is neither in 0 … V-1 nor ignored,
// and where all rows are ignored without a denominator.
Tensor cross_entropy(const Tensor& logits, const Array& labels, const CrossEntropyOptions& options = {});

// Σ (x − target)² / n over all n elements    x and target of the same shape → one number.
Tensor mean_squared_error(const Tensor& x, const Tensor& target);

}  // namespace bertie
