// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/layer_norm.h"

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class T>
void forward(const T* x, const T* weight, const T* bias, T epsilon, T* y, T* mean, T* rstd, int64_t rows,
             int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n) {
    if (row + 2 < rows) prefetch(x + 2 * n, n);
    T m = sum_over<T>(n, [=](int64_t i) { return x[i]; }) / T(n);
    T variance = sum_over<T>(n, [=](int64_t i) { return (x[i] - m) * (x[i] - m); }) / T(n);
    T r = T(1) / square_root(variance + epsilon);
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - m) * r * weight[i] + bias[i];
    mean[row] = m;
    rstd[row] = r;
  }
}

template <class T>
struct RowMeans {
  T g, gx;
};

// Of g = dy · weight and of g · x̂, with x̂ = (x − m) r. In the order of sum_over; written out so that the row
// is read once.
template <class T>
RowMeans<T> means(const T* x, T m, T r, const T* weight, const T* dy, int64_t n) {
  T sum_g[lanes] = {}, sum_gx[lanes] = {};
  auto add = [&](int64_t i, int lane) {
    T g = dy[i] * weight[i];
    sum_g[lane] += g;
    sum_gx[lane] += g * ((x[i] - m) * r);
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) add(i + lane, lane);
  for (int lane = 0; i < n; ++i, ++lane) add(i, lane);
  return {pairwise(sum_g, Plus()) / T(n), pairwise(sum_gx, Plus()) / T(n)};
}

template <class T>
void add_parameter_gradients(const T* x, T m, T r, const T* dy, T* __restrict dweight, T* __restrict dbias,
                             int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    dweight[i] += dy[i] * ((x[i] - m) * r);
    dbias[i] += dy[i];
  }
}

// dx = rstd (g − mean(g) − x̂ · mean(g · x̂))
template <class T>
void input_gradient(const T* x, T m, T r, const T* weight, const T* dy, RowMeans<T> mean, T* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dx[i] = r * (dy[i] * weight[i] - mean.g - (x[i] - m) * r * mean.gx);
}

// dx may be dy: it comes last. The row after the next is fetched in two parts.
template <class T>
void backward(const T* x, const T* mean, const T* rstd, const T* weight, const T* dy, T* dx, T* dweight,
              T* dbias, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, dy += n, dx += n) {
    T m = mean[row], r = rstd[row];
    if (row + 2 < rows) prefetch(x + 2 * n, n);
    RowMeans<T> row_means = means(x, m, r, weight, dy, n);
    if (row + 2 < rows) prefetch(dy + 2 * n, n);
    add_parameter_gradients(x, m, r, dy, dweight, dbias, n);
    input_gradient(x, m, r, weight, dy, row_means, dx, n);
  }
}

template <class T>
constexpr LayerNormKernels<T> table() {
  return {.forward = forward<T>, .backward = backward<T>};
}

}  // namespace

extern const LayerNormKernels<float> layer_norm_f32;
extern const LayerNormKernels<double> layer_norm_f64;
const LayerNormKernels<float> layer_norm_f32 = table<float>();
const LayerNormKernels<double> layer_norm_f64 = table<double>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
