// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "ops/kernels/layer_norm.h"

#include "ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

template <class T>
void forward(const T* x, const T* weight, const T* bias, T epsilon, T* y, T* mean, T* rstd, int64_t rows,
             int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, y += n) {
    if (row + 1 < rows) prefetch(x + n, n), prefetch(y + n, n);
    T m = sum_over<T>(n, [=](int64_t i) { return x[i]; }) / T(n);
    T variance = sum_over<T>(n, [=](int64_t i) { return (x[i] - m) * (x[i] - m); }) / T(n);
    T r = T(1) / square_root(variance + epsilon);
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - m) * r * weight[i] + bias[i];
    mean[row] = m;
    rstd[row] = r;
  }
}

template <class T>
void add_parameter_gradients(const T* x, T m, T r, const T* dy, T* __restrict dweight, T* __restrict dbias,
                             int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    dweight[i] += dy[i] * ((x[i] - m) * r);
    dbias[i] += dy[i];
  }
}

// With g = dy · weight and x̂ the normalized row:  dx = rstd (g − mean(g) − x̂ · mean(g · x̂))
template <class T>
void input_gradient(const T* x, T m, T r, const T* weight, const T* dy, T* dx, int64_t n) {
  T mean_g = sum_over<T>(n, [=](int64_t i) { return dy[i] * weight[i]; }) / T(n);
  T mean_gx = sum_over<T>(n, [=](int64_t i) { return dy[i] * weight[i] * ((x[i] - m) * r); }) / T(n);
  for (int64_t i = 0; i < n; ++i) dx[i] = r * (dy[i] * weight[i] - mean_g - (x[i] - m) * r * mean_gx);
}

template <class T>
void backward(const T* x, const T* mean, const T* rstd, const T* weight, const T* dy, T* dx, T* dweight,
              T* dbias, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, x += n, dy += n) {
    if (row + 1 < rows) prefetch(x + n, n);
    if (dweight) add_parameter_gradients(x, mean[row], rstd[row], dy, dweight, dbias, n);
    if (row + 1 < rows) prefetch(dy + n, n);
    if (!dx) continue;
    if (row + 1 < rows) prefetch(dx + n, n);
    input_gradient(x, mean[row], rstd[row], weight, dy, dx, n);
    dx += n;
  }
}

}  // namespace

extern const LayerNormKernels<float> layer_norm_f32;
extern const LayerNormKernels<double> layer_norm_f64;
const LayerNormKernels<float> layer_norm_f32{forward<float>, backward<float>};
const LayerNormKernels<double> layer_norm_f64{forward<double>, backward<double>};

}  // namespace bertie::BERTIE_ISA_NAMESPACE
