#include "bertie/nn/orthogonalized.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/threads.h"
#include "bertie/nn/initializer.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/numbers.h"

namespace bertie {
namespace {

using Numbers = std::vector<double>;

// [m, k] times [k, n]
Numbers times(const Numbers& a, const Numbers& b, int64_t m, int64_t k, int64_t n) {
  Numbers c(m * n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t l = 0; l < k; ++l)
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
  return c;
}

Numbers transposed(const Numbers& a, int64_t m, int64_t n) {
  Numbers t(a.size());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) t[j * m + i] = a[i * n + j];
  return t;
}

double norm_of(const Numbers& x) {
  double sum = 0;
  for (double value : x) sum += value * value;
  return std::sqrt(sum);
}

// Falling. By rotating pairs of rows until all are at right angles (Jacobi's, one-sided): their lengths.
Numbers singular_values(Numbers x, int64_t m, int64_t n) {
  if (m > n) return singular_values(transposed(x, m, n), n, m);
  for (bool turned = true; turned;) {
    turned = false;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = i + 1; j < m; ++j) {
        double ii = 0, jj = 0, ij = 0;
        for (int64_t l = 0; l < n; ++l) {
          double p = x[i * n + l], q = x[j * n + l];
          ii += p * p;
          jj += q * q;
          ij += p * q;
        }
        if (std::abs(ij) <= 1e-13 * std::sqrt(ii * jj)) continue;
        turned = true;
        double zeta = (jj - ii) / (2 * ij), t = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::hypot(1, zeta));
        double cosine = 1 / std::hypot(1, t), sine = cosine * t;
        for (int64_t l = 0; l < n; ++l) {
          double p = x[i * n + l], q = x[j * n + l];
          x[i * n + l] = cosine * p - sine * q;
          x[j * n + l] = sine * p + cosine * q;
        }
      }
  }
  Numbers lengths;
  for (int64_t i = 0; i < m; ++i) lengths.push_back(norm_of(Numbers(&x[i * n], &x[i * n] + n)));
  std::sort(lengths.rbegin(), lengths.rend());
  return lengths;
}

double norm8_of(const Numbers& singular_values) {
  double sum = 0;
  for (double value : singular_values) sum += std::pow(value, 8);
  return std::pow(sum, 0.125);
}

// As the formula says it: the matrix itself is multiplied in each iteration, on its shorter side.
Numbers plainly_orthogonalized(Numbers x, int64_t m, int64_t n, const NewtonSchulz& how) {
  if (m > n) return transposed(plainly_orthogonalized(transposed(x, m, n), n, m, how), n, m);
  double norm =
      how.norm == 2 ? std::max(norm_of(x), 1e-7) : std::max(norm8_of(singular_values(x, m, n)), 1e-7 / 64);
  for (double& value : x) value /= norm;
  for (const auto& [center, coefficients] : how.iterations) {
    Numbers gram = times(x, transposed(x, m, n), m, n, m), factor(m * m);
    for (int64_t j = 0; j < m; ++j) gram[j * m + j] -= center;
    for (size_t k = coefficients.size(); k-- > 0;) {  // Horner's rule
      factor = times(factor, gram, m, m, m);
      for (int64_t j = 0; j < m; ++j) factor[j * m + j] += coefficients[k];
    }
    x = times(factor, x, m, m, n);
  }
  return x;
}

struct Extents {
  int64_t rows, columns;
};
// Wide, tall and square ones, of one row or one column, and such whose elements make several tasks.
const std::vector<Extents> extents{{5, 12}, {12, 5},  {8, 8},    {1, 9},   {9, 1},
                                   {1, 1},  {40, 72}, {70, 480}, {480, 70}};

// Of the first terms of the series of x^(−1/2) about 1. Where a singular value is the largest one,
// two_iterations turn a hundredth more or less into anything within their band; these don't.
const NewtonSchulz::Iteration third_order{.coefficients = {15 / 8.0, -10 / 8.0, 3 / 8.0}},
    fifth_order{.coefficients = {315 / 128.0, -420 / 128.0, 378 / 128.0, -180 / 128.0, 35 / 128.0}},
    third_about_one{.center = 1, .coefficients = {1, -1 / 2.0, 3 / 8.0}},
    fifth_about_one{.center = 1, .coefficients = {1, -1 / 2.0, 3 / 8.0, -5 / 16.0, 35 / 128.0}};
const NewtonSchulz gentle_iterations{.iterations = {third_order, fifth_about_one}, .norm = 8},
    all_kinds{.iterations = {fifth_order, third_about_one, fifth_about_one, third_order}, .norm = 8};

struct Case {
  const NewtonSchulz& how;
  DType type, products;
  double allowed;
};
const std::vector<Case> cases{
    {five_iterations, DType::f64, DType::f64, 1e-11}, {five_iterations, DType::f32, DType::f32, 2e-4},
    {two_iterations, DType::f64, DType::f64, 1e-11},  {two_iterations, DType::f32, DType::f32, 2e-4},
    {all_kinds, DType::f64, DType::f64, 1e-11},       {gentle_iterations, DType::f32, DType::bf16, 0.04}};

Array three_matrices(const Extents& e, DType type) {
  return normal({3, e.rows, e.columns}, 0, 3, 1, static_cast<uint64_t>(e.rows), DType::f64).cast(type);
}

TEST(Orthogonalized, IsWhatTheFormulaSays) {
  for (const auto& [how, type, products, allowed] : cases)
    for (const Extents& e : extents) {
      SCOPED_TRACE(fmt::format("{} iterations, {} by {}, {} in {}", how.iterations.size(), e.rows, e.columns,
                               name(type), name(products)));
      Array x = three_matrices(e, type), kept = x.clone();
      Array y = orthogonalized(x, products, how);
      EXPECT_EQ(y.dtype(), type);
      ASSERT_EQ(y.shape(), x.shape());
      EXPECT_EQ(numbers(x), numbers(kept));  // as it isn't the function's alone
      for (int64_t i = 0; i < 3; ++i) {
        Numbers exact = plainly_orthogonalized(numbers(x.rows(i, i + 1)), e.rows, e.columns, how);
        EXPECT_LE(largest_difference(numbers(y.rows(i, i + 1)), exact), allowed) << i;
      }
    }
}

// Those that are large enough come into the band, and none comes above it.
TEST(Orthogonalized, HasSingularValuesOfAboutOne) {
  struct Band {
    const NewtonSchulz& how;
    DType type, products;
    double from, least, most;  // singular values from which on, beside the norm; theirs afterwards
  };
  for (const Band& band : {Band{five_iterations, DType::f64, DType::f64, 0.002, 0.68, 1.21},
                           Band{two_iterations, DType::f64, DType::f64, 0.01, 0.45, 1.55},
                           Band{two_iterations, DType::f32, DType::bf16, 0.1, 0.35, 1.75}})
    for (const Extents& e : extents) {
      SCOPED_TRACE(fmt::format("{} iterations, {} by {}", band.how.iterations.size(), e.rows, e.columns));
      Array x = three_matrices(e, band.type), y = orthogonalized(x, band.products, band.how);
      for (int64_t i = 0; i < 3; ++i) {
        Numbers before = singular_values(numbers(x.rows(i, i + 1)), e.rows, e.columns),
                after = singular_values(numbers(y.rows(i, i + 1)), e.rows, e.columns);
        EXPECT_LE(after.front(), band.most);
        double norm = band.how.norm == 2 ? norm_of(before) : norm8_of(before);
        auto large =
            std::count_if(before.begin(), before.end(), [&](double s) { return s >= band.from * norm; });
        EXPECT_GE(large, std::ssize(before) * 9 / 10);
        EXPECT_GE(after[large - 1], band.least);
      }
    }
  Array zeros = Array::zeros({1, 3, 4}, DType::f32);
  EXPECT_EQ(numbers(orthogonalized(zeros, DType::f32)), Numbers(12));
  EXPECT_EQ(numbers(orthogonalized(zeros, DType::bf16)), Numbers(12));
}

// As a matrix without a gradient has, whose momentum fades away.
TEST(Orthogonalized, TakesAlmostZeroForZero) {
  for (const auto& [how, type, products, allowed] : cases)
    for (const Extents& e : {Extents{5, 12}, Extents{12, 5}, Extents{1, 9}, Extents{40, 72}})
      for (double size : {1e-3, 1e-7, 1e-9, 1e-14, 1e-16, 1e-20, 1e-30}) {
        SCOPED_TRACE(fmt::format("{} iterations, {} by {} of {}, {} in {}", how.iterations.size(), e.rows,
                                 e.columns, size, name(type), name(products)));
        Array x = normal({1, e.rows, e.columns}, 0, size, 1, 0, DType::f64).cast(type);
        Numbers y = numbers(orthogonalized(x, products, how));
        Numbers exact = plainly_orthogonalized(numbers(x), e.rows, e.columns, how);
        double largest = largest_difference(exact, Numbers(exact.size()));
        EXPECT_LE(largest_difference(y, exact), allowed * std::min(1.0, largest));
        if (size < 1e-15) {
          EXPECT_LE(largest, 1e-4);
        }
      }
}

TEST(Orthogonalized, HasTheSameBitsOnAnyNumberOfThreads) {
  int threads = thread_count();
  for (DType products : {DType::f32, DType::bf16}) {
    Array x = three_matrices({70, 480}, DType::f32);
    Numbers one;
    for (int count : {1, 2, 3}) {
      set_thread_count(count);
      Numbers of_this = numbers(orthogonalized(x, products));
      if (count == 1) one = of_this;
      EXPECT_EQ(of_this, one) << count;
    }
  }
  set_thread_count(threads);
}

TEST(Orthogonalized, TakesBatchesOfMatrices) {
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({3, 4}, DType::f32), DType::f32);
            }),
            "[muon] takes a batch of matrices [B, r, c], got [3, 4]");
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({1, 3, 4}, DType::f64), DType::bf16);
            }),
            "[muon] matrices of f64 can't be multiplied in bf16");
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({1, 3, 4}, DType::f32), DType::f32, {{}, 2});
            }),
            "[muon] takes one iteration or more and norm 2 or 8, got 0 and 2");
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({1, 3, 4}, DType::f32), DType::f32, {{{0, {1, 1, 1}}}, 3});
            }),
            "[muon] takes one iteration or more and norm 2 or 8, got 1 and 3");
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({1, 3, 4}, DType::f32), DType::f32, {{{1, {1, 1, 1}}}, 8});
            }),
            "[muon] the first iteration's center must be 0, got 1");
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({1, 3, 4}, DType::f32), DType::f32, {{{0, {1, 1, 1, 1}}}, 8});
            }),
            "[muon] an iteration has three or five coefficients, got 4");
  EXPECT_EQ(message_of([] {
              orthogonalized(Array::zeros({1, 3, 4}, DType::f32), DType::bf16, five_iterations);
            }),
            "[muon] products in bf16 bear two iterations, got 5");
  EXPECT_EQ(orthogonalized(Array::zeros({0, 3, 4}, DType::f32), DType::f32).shape(), (Shape{0, 3, 4}));
}

}  // namespace
}  // namespace bertie
