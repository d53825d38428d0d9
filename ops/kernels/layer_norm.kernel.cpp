// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/layer_norm.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class T>
T standardized(T x, LayerNormRow<T> row) {
  return (x - row.mean) * row.rstd + row.shift;
}

template <class T>
struct Means {
  T first, second;
};

// The means of first(i) and second(i), of i = 0 … n-1. In the order of sum_over; written out so that the row
// is read once.
template <class T, class First, class Second>
Means<T> means(int64_t n, First first, Second second) {
  T firsts[lanes] = {}, seconds[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) {
      firsts[lane] += first(i + lane);
      seconds[lane] += second(i + lane);
    }
  for (int lane = 0; i < n; ++i, ++lane) {
    firsts[lane] += first(i);
    seconds[lane] += second(i);
  }
  return {pairwise(firsts, Plus()) / T(n), pairwise(seconds, Plus()) / T(n)};
}

// Twice "shifted data" (Chan, Golub & LeVeque, 1983): the first shift, an element, makes the mean of a
// constant row that element exactly, and its variance 0; the second, that mean, leaves the rounding of a
// large mean in the rest.
template <class T, class C>
LayerNormRow<C> statistics_of(const T* x, C epsilon, int64_t n) {
  C first = x[0], m = first + sum_over<C>(n, [=](int64_t i) { return x[i] - first; }) / C(n);
  Means<C> moments = means<C>(
      n, [=](int64_t i) { return x[i] - m; }, [=](int64_t i) { return (x[i] - m) * (x[i] - m); });
  C rest = moments.first, variance = moments.second - rest * rest;
  variance = variance < C(0) ? C(0) : variance;  // NaN stays
  C rstd = C(1) / square_root(variance + epsilon);
  rstd = variance < C(__builtin_inf()) ? rstd : C(__builtin_nan(""));
  return {m, rstd, -rest * rstd};
}

template <class T, class C = Compute<T>>
void forward(const T* x, const C* weight, const C* bias, C epsilon, T* y, LayerNormRow<C>* statistics,
             int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n) {
    if (row + 2 < rows) prefetch(x + 2 * n, n);
    LayerNormRow<C> of = statistics[row] = statistics_of(x, epsilon, n);
    for (int64_t i = 0; i < n; ++i) y[i] = standardized<C>(x[i], of) * weight[i] + bias[i];
  }
}

template <class T, class C>
void add_parameter_gradients(const T* x, LayerNormRow<C> row, const T* dy, C* __restrict dweight,
                             C* __restrict dbias, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    dweight[i] += dy[i] * standardized<C>(x[i], row);
    dbias[i] += dy[i];
  }
}

// dx = rstd (g − mean(g) − x̂ · mean(g · x̂)), with g = dy · weight
template <class T, class C>
void input_gradient(const T* x, LayerNormRow<C> row, const C* weight, const T* dy, Means<C> mean, T* dx,
                    int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    dx[i] = row.rstd * (dy[i] * weight[i] - mean.first - standardized<C>(x[i], row) * mean.second);
}

// dx may be dy: it comes last. The row after the next is fetched in two parts.
template <class T, class C = Compute<T>>
void backward(const T* x, const LayerNormRow<C>* statistics, const C* weight, const T* dy, T* dx, C* dweight,
              C* dbias, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, dy += n, dx += n) {
    LayerNormRow<C> of = statistics[row];
    if (row + 2 < rows) prefetch(x + 2 * n, n);
    Means<C> mean = means<C>(
        n, [=](int64_t i) { return dy[i] * weight[i]; },
        [=](int64_t i) { return dy[i] * weight[i] * standardized<C>(x[i], of); });
    if (row + 2 < rows) prefetch(dy + 2 * n, n);
    add_parameter_gradients(x, of, dy, dweight, dbias, n);
    input_gradient(x, of, weight, dy, mean, dx, n);
  }
}

template <class T>
constexpr LayerNormKernels<T> table() {
  return {.forward = forward<T>, .backward = backward<T>};
}

}  // namespace

extern const LayerNormKernels<float> layer_norm_f32;
extern const LayerNormKernels<double> layer_norm_f64;
extern const LayerNormKernels<bfloat16> layer_norm_bf16;
const LayerNormKernels<float> layer_norm_f32 = table<float>();
const LayerNormKernels<double> layer_norm_f64 = table<double>();
const LayerNormKernels<bfloat16> layer_norm_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
