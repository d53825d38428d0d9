#include "bertie/nn/orthogonalized.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/nn/matrix_pieces.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/kernels/newton_schulz.h"

namespace bertie {

const NewtonSchulz five_iterations{
    .iterations = std::vector<NewtonSchulz::Iteration>(5, {.coefficients = {3.4445, -4.7750, 2.0315}}),
    .norm = 2};
const NewtonSchulz two_iterations{
    .iterations = {{.coefficients = {8.0934, -23.6204, 17.4462}},
                   {.center = 1.8, .coefficients = {0.9564, 0.6140, -0.8145, -0.6263, 0.4584}}},
    .norm = 8};

namespace {

constexpr double least_norm = 1e-7;
// Of a matrix divided by that, or by its Frobenius norm: n singular values whose squares add up to 1 have
// n^(−3/8) at least, which is more for any n < 65,536.
constexpr double least_norm8 = 1.0 / 64;

// The root of the sum of the squares of each of `count` matrices of `size` elements.
template <class T>
std::vector<double> norms_of(const T* x, int64_t count, int64_t size) {
  int64_t pieces = pieces_of(size);
  std::vector<double> squares(count * pieces), norms;
  visit_pieces(count, size, [&](int64_t p, int64_t matrix, int64_t from, int64_t to) {
    squares[p] = accumulate_kernels<T>().sum_of_squares(x + matrix * size + from, to - from);
  });
  for (int64_t matrix = 0; matrix < count; ++matrix) {
    double sum = 0;
    for (int64_t p = matrix * pieces; p < (matrix + 1) * pieces; ++p) sum += squares[p];
    norms.push_back(std::sqrt(sum));
  }
  return norms;
}

// y, stored as S, is each x divided by its norm. They may be the same memory where S is T.
template <class S, class T>
void normalize(S* y, const T* x, int64_t count, int64_t size) {
  std::vector<double> norms = norms_of(x, count, size);
  visit_pieces(count, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
    newton_schulz_kernels<S>().scale(y + matrix * size + from, x + matrix * size + from, to - from,
                                     1 / std::max(norms[matrix], least_norm));
  });
}

// What is done to `count` symmetric matrices [n, n], which commute.
template <class S>
class SymmetricMatrices {
 public:
  SymmetricMatrices(int64_t count, int64_t n) : count_(count), n_(n), size_(n * n) {}

  void multiply(S* c, const S* a, const S* b) const {
    symmetric_gemm(Product<S>{.M = n_,
                              .N = n_,
                              .K = n_,
                              .a = {a, n_, false, size_},
                              .b = {b, n_, false, size_},
                              .c = c,
                              .c_stride = n_,
                              .batch = count_,
                              .c_batch_stride = size_});
  }

  // y ← of_one + of_a · a + of_b · b; weights(matrix) are these three of each.
  template <class Weights>
  void combine(S* y, const S* a, const S* b, Weights&& weights) const {
    visit_pieces(count_, size_, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      auto [of_one, of_a, of_b] = weights(matrix);
      int64_t at = matrix * size_;
      newton_schulz_kernels<S>().combine(y + at + from, a + at + from, b + at + from, to - from, of_a, of_b);
      for (int64_t i = first_of_diagonal(from); i < to; i += n_ + 1)  // anew, to be rounded once
        y[at + i] = static_cast<Compute<S>>(of_one + of_a * a[at + i] + of_b * b[at + i]);
    });
  }

  void subtract(S* y, double of_one) const {
    for (int64_t matrix = 0; matrix < count_; ++matrix)
      for (int64_t i = 0; i < size_; i += n_ + 1) y[matrix * size_ + i] -= static_cast<Compute<S>>(of_one);
  }

 private:
  int64_t first_of_diagonal(int64_t from) const { return (from + n_) / (n_ + 1) * (n_ + 1); }

  int64_t count_, n_, size_;
};

// Q of each of `count` matrices A [n, n], which it writes over. `memory`: of 4 · count · n · n numbers; Q is
// within.
template <class S>
const S* polynomial_of(S* a, S* memory, int64_t count, int64_t n, const NewtonSchulz& how) {
  SymmetricMatrices<S> matrices(count, n);
  int64_t all = count * n * n;
  S *q = nullptr, *p = memory, *square = memory + all, *other = memory + 2 * all, *next_p = memory + 3 * all;
  std::vector<double> scales(count, 1);
  for (size_t i = 0; i < how.iterations.size(); ++i) {
    const auto& [center, coefficients] = how.iterations[i];
    if (center != 0) matrices.subtract(a, center);
    matrices.multiply(square, a, a);
    if (i == 0 && how.norm == 8) {
      // A has the squares of the singular values, A² their fourth powers.
      scales = norms_of(square, count, n * n);
      for (double& scale : scales) scale = 1 / std::max(std::pow(scale, 0.25), least_norm8);
    }
    // Where the matrix is yet to be divided by its norm, P(A) is P(A / norm²) / norm.
    auto coefficient = [&, &of = coefficients](size_t k, int64_t matrix) {
      return of[k] * (i == 0 ? std::pow(scales[matrix], 2 * k + 1) : 1);
    };
    auto three_from = [&](size_t k) {
      return [&, k](int64_t m) {
        return std::array{coefficient(k, m), coefficient(k + 1, m), coefficient(k + 2, m)};
      };
    };
    if (coefficients.size() == 3) {
      matrices.combine(p, a, square, three_from(0));
    } else {
      matrices.combine(other, a, square, three_from(2));
      matrices.multiply(p, square, other);
      matrices.combine(other, a, p, [&](int64_t m) {
        return std::array{coefficient(0, m), coefficient(1, m), 1.0};
      });
      std::swap(p, other);
    }
    if (i + 1 < how.iterations.size()) {
      matrices.multiply(square, p, a);
      if (center != 0) {
        matrices.combine(other, p, square, [&, by = center](int64_t) { return std::array{0.0, by, 1.0}; });
        std::swap(square, other);
      }
      matrices.multiply(a, square, p);
    }
    if (q) {
      matrices.multiply(square, q, p);
      std::swap(q, square);
    } else {
      q = p;
      p = next_p;
    }
  }
  return q;
}

// x [count, rows, columns], divided by its norms already, in what is multiplied; y: the result, which may not
// be x.
template <class S>
void orthogonalize(Compute<S>* y, const S* x, int64_t count, int64_t rows, int64_t columns,
                   const NewtonSchulz& how) {
  int64_t n = std::min(rows, columns), size = rows * columns;
  bool tall = rows > columns;
  Array memory = Array::empty({5, count, n, n}, dtype_of<S>());
  S* a = memory.mutable_data<S>();
  symmetric_gemm(Product<S>{.M = n,
                            .N = n,
                            .K = std::max(rows, columns),
                            .a = {x, columns, tall, size},
                            .b = {x, columns, !tall, size},
                            .c = a,
                            .c_stride = n,
                            .batch = count,
                            .c_batch_stride = n * n});
  const S* q = polynomial_of(a, a + count * n * n, count, n, how);
  Factor<S> of_x{x, columns, false, size}, of_q{q, n, false, n * n};
  gemm(Product<S, Compute<S>>{.M = rows,
                              .N = columns,
                              .K = n,
                              .a = tall ? of_x : of_q,
                              .b = tall ? of_q : of_x,
                              .c = y,
                              .c_stride = columns,
                              .batch = count,
                              .c_batch_stride = size});
}

void check(const NewtonSchulz& how, DType products) {
  BERTIE_CHECK(!how.iterations.empty() && (how.norm == 2 || how.norm == 8), "muon",
               "takes one iteration or more and norm 2 or 8, got {} and {}", how.iterations.size(), how.norm);
  BERTIE_CHECK(how.iterations[0].center == 0, "muon", "the first iteration's center must be 0, got {}",
               how.iterations[0].center);
  for (const auto& iteration : how.iterations)
    BERTIE_CHECK(iteration.coefficients.size() == 3 || iteration.coefficients.size() == 5, "muon",
                 "an iteration has three or five coefficients, got {}", iteration.coefficients.size());
  BERTIE_CHECK(products != DType::bf16 || how.iterations.size() <= 2, "muon",
               "products in bf16 bear two iterations, got {}", how.iterations.size());
}

}  // namespace

Array orthogonalized(Array matrices, DType products, const NewtonSchulz& how) {
  DType type = matrices.dtype();
  BERTIE_CHECK(matrices.shape().rank() == 3, "muon", "takes a batch of matrices [B, r, c], got {}",
               matrices.shape());
  BERTIE_CHECK((products == type && type != DType::bf16) || (products == DType::bf16 && type == DType::f32),
               "muon", "matrices of {} can't be multiplied in {}", name(type), name(products));
  check(how, products);
  int64_t count = matrices.shape()[0], rows = matrices.shape()[1], columns = matrices.shape()[2];
  Array normalized = Array::empty(matrices.shape(), products);
  // Written over, where nobody else has them.
  Array result = matrices.unique() ? std::move(matrices) : matrices.clone();
  dispatch("muon", products, [&](auto zero) {
    using S = decltype(zero);
    auto* values = result.mutable_data<Compute<S>>();
    S* x = normalized.mutable_data<S>();
    normalize(x, static_cast<const Compute<S>*>(values), count, rows * columns);
    orthogonalize(values, static_cast<const S*>(x), count, rows, columns, how);
  });
  return result;
}

int64_t orthogonalizing_memory(int64_t rows, int64_t columns, DType products) {
  int64_t least = std::min(rows, columns);
  return rows * columns * (element_size(DType::f32) + element_size(products)) +
         5 * least * least * element_size(products);
}

}  // namespace bertie
