// The orthogonal matrix next to a given one, by Newton–Schulz iterations: what Muon's steps are along
// (nn/muon.h).
#pragma once
#include <vector>

#include "bertie/autograd/array.h"

namespace bertie {

// Each iteration takes a singular value σ of a matrix to σ P(σ²), for a polynomial P.
struct NewtonSchulz {
  // P(x) = Σ coefficients[k] (x − center)^k, of three or of five coefficients. In the middle of the values
  // that x has, powers of x − center are small, and so are what is rounded in them.
  struct Iteration {
    double center = 0;  // 0 in the first iteration
    std::vector<double> coefficients;
  };
  std::vector<Iteration> iterations;
  // The matrix is first divided by (Σ σᵖ)^(1/p), which no singular value exceeds. p is 2 (Frobenius's norm)
  // or 8, which lies nearer to the largest one and so leaves less to do. The least divisor is
  // 1e-7, of p = 8 a 64th of it: what is almost 0 stays so.
  int norm;
};

// Jordan's five iterations, as torch.optim.Muon has them: singular values of 0.002 of Frobenius's norm and
// more come within 0.68 … 1.21, smaller ones grow by a⁵ = 485 at most.
extern const NewtonSchulz five_iterations;
// Two, as Amsel et al. 2025, "The Polar Express", choose coefficients: each the best for what the one before
// leaves of singular values of 0.01 … 1, of degree 5 and of degree 9. These come within 0.45 … 1.55, smaller
// ones grow by 46 at most. What training comes to with these and others: docs/learning_per_hour.md.
extern const NewtonSchulz two_iterations;

// About U Vᵀ of each X = U S Vᵀ [r, c] of a batch [B, r, c], f32 or f64. The iterations
//
//   X ← X P(A)   with A = Xᵀ X, or with A = X Xᵀ and P(A) on the left where X is wider than tall
//
// are of one polynomial of A after the other, and these commute. So they are made with A, of the shorter
// side, alone, and X is multiplied once, at the end:
//
//   Q ← Q P(A) (at first P(A));   A ← P(A) A P(A)          at the end X Q, or Q X
//
// All but the last product are symmetric, so that half of each suffices. Zeros remain zeros. `products` is
// what all are multiplied and stored in: the batch's type, or of f32 bf16, for up to two iterations: A's
// smallest values are lost in what is rounded, and each further iteration would make these roundings larger.
// The same bits on any number of threads.
Array orthogonalized(Array matrices, DType products, const NewtonSchulz& how = two_iterations);

// The bytes that this takes for each matrix, of f32, the matrix itself among them.
int64_t orthogonalizing_memory(int64_t rows, int64_t columns, DType products);

}  // namespace bertie
