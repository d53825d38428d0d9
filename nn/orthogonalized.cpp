#include "bertie/nn/orthogonalized.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/nn/matrix_pieces.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/kernels/newton_schulz.h"

namespace bertie {

const NewtonSchulz five_iterations{
    .coefficients = std::vector<std::array<double, 3>>(5, {3.4445, -4.7750, 2.0315}), .norm = 2};
const NewtonSchulz three_iterations{
    .coefficients = {{8.0934, -23.6204, 17.4462}, {3.6366, -2.7219, 0.5365}, {2.6613, -1.9772, 0.4526}},
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

// The product of two symmetric matrices that commute, of `count` of them, n × n.
template <class T>
void multiply(T* c, const T* a, const T* b, int64_t count, int64_t n) {
  symmetric_gemm(Product<T>{.M = n,
                            .N = n,
                            .K = n,
                            .a = {a, n, false, n * n},
                            .b = {b, n, false, n * n},
                            .c = c,
                            .c_stride = n,
                            .batch = count,
                            .c_batch_stride = n * n});
}

// Q of each of `count` matrices A [n, n], which it writes over. `memory`: of 4 · count · n · n numbers; Q is
// within.
template <class T>
const T* polynomial_of(T* a, T* memory, int64_t count, int64_t n, const NewtonSchulz& how) {
  int64_t size = n * n, all = count * size;
  T *q = nullptr, *p = memory, *next_q = memory + all, *pa = memory + 2 * all, *next_p = memory + 3 * all;
  std::vector<double> norms(count, 1);
  for (size_t i = 0; i < how.coefficients.size(); ++i) {
    multiply(p, a, a, count, n);
    // A has the squares of the singular values, A² their fourth powers.
    if (i == 0 && how.norm == 8) {
      norms = norms_of(p, count, size);
      for (double& norm : norms) norm = std::max(std::pow(norm, 0.25), least_norm8);
    }
    visit_pieces(count, size, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      const auto& [of_x, of_cube, of_fifth] = how.coefficients[i];
      double s = i == 0 ? 1 / norms[matrix] : 1;
      T* of_this = p + matrix * size;
      newton_schulz_kernels<T>().combine(of_this + from, a + matrix * size + from, to - from,
                                         of_fifth * std::pow(s, 5), of_cube * std::pow(s, 3));
      int64_t diagonal = (from + n) / (n + 1) * (n + 1);
      for (; diagonal < to; diagonal += n + 1) of_this[diagonal] += static_cast<T>(of_x * s);
    });
    if (i + 1 < how.coefficients.size()) {
      multiply(pa, p, a, count, n);
      multiply(a, pa, p, count, n);
    }
    if (q) {
      multiply(next_q, q, p, count, n);
      std::swap(q, next_q);
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
  using T = Compute<S>;
  int64_t n = std::min(rows, columns), size = rows * columns;
  bool tall = rows > columns;
  Array memory = Array::empty({5, count, n, n}, dtype_of<T>());
  T* a = memory.mutable_data<T>();
  symmetric_gemm(Product<S, T>{.M = n,
                               .N = n,
                               .K = std::max(rows, columns),
                               .a = {x, columns, tall, size},
                               .b = {x, columns, !tall, size},
                               .c = a,
                               .c_stride = n,
                               .batch = count,
                               .c_batch_stride = n * n});
  const T* computed = polynomial_of(a, a + count * n * n, count, n, how);
  const S* q;
  if constexpr (std::is_same_v<S, T>) {
    q = computed;
  } else {  // A isn't needed any more
    auto* rounded = reinterpret_cast<S*>(a);
    visit_pieces(count, n * n, [&](int64_t, int64_t matrix, int64_t from, int64_t to) {
      newton_schulz_kernels<S>().scale(rounded + matrix * n * n + from, computed + matrix * n * n + from,
                                       to - from, 1);
    });
    q = rounded;
  }
  Factor<S> of_x{x, columns, false, size}, of_q{q, n, false, n * n};
  gemm(Product<S, T>{.M = rows,
                     .N = columns,
                     .K = n,
                     .a = tall ? of_x : of_q,
                     .b = tall ? of_q : of_x,
                     .c = y,
                     .c_stride = columns,
                     .batch = count,
                     .c_batch_stride = size});
}

}  // namespace

Array orthogonalized(Array matrices, DType products, const NewtonSchulz& how) {
  DType type = matrices.dtype();
  BERTIE_CHECK(matrices.shape().rank() == 3, "muon", "takes a batch of matrices [B, r, c], got {}",
               matrices.shape());
  BERTIE_CHECK((products == type && type != DType::bf16) || (products == DType::bf16 && type == DType::f32),
               "muon", "matrices of {} can't be multiplied in {}", name(type), name(products));
  BERTIE_CHECK(!how.coefficients.empty() && (how.norm == 2 || how.norm == 8), "muon",
               "takes one iteration or more and norm 2 or 8, got {} and {}", how.coefficients.size(),
               how.norm);
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
         5 * least * least * element_size(DType::f32);
}

}  // namespace bertie
