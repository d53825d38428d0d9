// The orthogonal matrix next to a given one, by Newton–Schulz iterations: what Muon's steps are along
// (nn/muon.h).
#pragma once
#include <array>
#include <vector>

#include "bertie/autograd/array.h"

namespace bertie {

// An iteration takes each singular value σ of a matrix to a σ + b σ³ + c σ⁵, one {a, b, c} for each
// iteration.
struct NewtonSchulz {
  std::vector<std::array<double, 3>> coefficients;
  // The matrix is first divided by (Σ σᵖ)^(1/p), which no singular value exceeds. p is 2 (Frobenius's norm)
  // or 8, which lies nearer to the largest one and so leaves less to do. The least divisor is
  // 1e-7, of p = 8 a 64th of it: what is almost 0 stays so.
  int norm;
};

// Jordan's five iterations, as torch.optim.Muon has them: singular values of 0.002 of Frobenius's norm and
// more come within 0.68 … 1.21, smaller ones grow by a⁵ = 485 at most.
extern const NewtonSchulz five_iterations;
// Three, as Amsel et al. 2025, "The Polar Express", choose coefficients: each the best for what the one
// before leaves of singular values of 0.01 … 1. These come within 0.73 … 1.27, smaller ones grow by 78 at
// most. In training this did as well as five iterations, and two did worse (docs/learning_per_hour.md).
extern const NewtonSchulz three_iterations;

// About U Vᵀ of each X = U S Vᵀ [r, c] of a batch [B, r, c], f32 or f64. The iterations
//
//   X ← X (a + b A + c A²)   with A = Xᵀ X, or with A = X Xᵀ on the left where X is wider than tall
//
// are of one polynomial of A after the other, and these commute. So they are made with A, of the shorter
// side, alone, and X is multiplied once, at the end:
//
//   P = a + b A + c A²;   Q ← Q P (at first P);   A ← P A P          at the end X Q, or Q X
//
// All but the last product are symmetric, so that half of each suffices. Zeros remain zeros. `products` is
// what X is multiplied in: the batch's type, or of f32 bf16, with A, P and Q in f32. The same bits on any
// number of threads.
Array orthogonalized(Array matrices, DType products, const NewtonSchulz& how = three_iterations);

// The bytes that this takes for each matrix, of f32, the matrix itself among them.
int64_t orthogonalizing_memory(int64_t rows, int64_t columns, DType products);

}  // namespace bertie
