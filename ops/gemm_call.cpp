#include "bertie/ops/gemm_call.h"

#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>
#include <signal.h>

#include <algorithm>
#include <vector>

#include "bertie/autograd/conversion_table.h"
#include "bertie/ops/kernels/attention.h"

// oneDNN's own, in no header (src/cpu/gemm/gemm.cpp): dnnl_sgemm for factors of bf16. It is what its
// primitives for bf16 call, and, like dnnl_sgemm, has no shape to prepare for.
extern "C" dnnl_status_t dnnl_gemm_bf16bf16f32(char transa, char transb, dnnl_dim_t M, dnnl_dim_t N,
                                               dnnl_dim_t K, float alpha, const bertie::bfloat16* A,
                                               dnnl_dim_t lda, const bertie::bfloat16* B, dnnl_dim_t ldb,
                                               float beta, float* C, dnnl_dim_t ldc);

namespace bertie {
namespace {

// While one is in scope, signals wait that would run a handler on this thread. oneDNN 2.6's kernels for AVX2
// and AVX-512 use the stack pointer for a work buffer on the heap: the frame of a handler without a stack of
// its own (gprof's, a timer's) would overwrite what lies below. Signals of a fault aren't held up: where they
// come, this thread is lost anyway, and somebody may want to print where. Two system calls, 0.2 … 1 µs; a
// tile takes 20 µs at least.
class NoSignals {
 public:
  NoSignals() {
    static const sigset_t waiting = [] {
      sigset_t set;
      sigfillset(&set);
      for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&set, fault);
      return set;
    }();
    pthread_sigmask(SIG_BLOCK, &waiting, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_;
};

// The textbook's loops.
template <class T, class R>
void plain(const Product<T, R>& p) {
  int64_t a_row = p.a.transposed ? 1 : p.a.stride, a_column = p.a.transposed ? p.a.stride : 1;
  int64_t b_row = p.b.transposed ? 1 : p.b.stride, b_column = p.b.transposed ? p.b.stride : 1;
  for (int64_t m = 0; m < p.M; ++m) {
    for (int64_t n = 0; n < p.N; ++n) {
      Compute<T> sum = 0;
      for (int64_t k = 0; k < p.K; ++k)
        sum += p.a.data[m * a_row + k * a_column] * p.b.data[k * b_row + n * b_column];
      R& c = p.c[m * p.c_stride + n];
      c = p.beta == 0 ? p.alpha * sum : p.alpha * sum + p.beta * c;
    }
  }
}

void openblas(const Product<float>& p) {
  cblas_sgemm(CblasRowMajor, p.a.transposed ? CblasTrans : CblasNoTrans,
              p.b.transposed ? CblasTrans : CblasNoTrans, p.M, p.N, p.K, p.alpha, p.a.data, p.a.stride,
              p.b.data, p.b.stride, p.beta, p.c, p.c_stride);
}

void openblas(const Product<double>& p) {
  cblas_dgemm(CblasRowMajor, p.a.transposed ? CblasTrans : CblasNoTrans,
              p.b.transposed ? CblasTrans : CblasNoTrans, p.M, p.N, p.K, p.alpha, p.a.data, p.a.stride,
              p.b.data, p.b.stride, p.beta, p.c, p.c_stride);
}

void check_status(dnnl_status_t status, int64_t M, int64_t N, int64_t K) {
  BERTIE_CHECK(status != dnnl_out_of_memory, "memory", "the system has none left for a matrix product");
  BERTIE_CHECK(status == dnnl_success, "gemm", "oneDNN failed with status {} at M = {}, N = {}, K = {}",
               static_cast<int>(status), M, N, K);
}

// dnnl_sgemm generates code once per kind of transposition, never per shape. A matmul primitive is no faster,
// and costs 0.2 … 4 ms for every new number of rows.
void onednn(const Product<float>& p) {
  NoSignals guard;
  check_status(dnnl_sgemm(p.a.transposed ? 'T' : 'N', p.b.transposed ? 'T' : 'N', p.M, p.N, p.K, p.alpha,
                          p.a.data, p.a.stride, p.b.data, p.b.stride, p.beta, p.c, p.c_stride),
               p.M, p.N, p.K);
}

void onednn(const Product<bfloat16, float>& p) {
  NoSignals guard;
  check_status(
      dnnl_gemm_bf16bf16f32(p.a.transposed ? 'T' : 'N', p.b.transposed ? 'T' : 'N', p.M, p.N, p.K, p.alpha,
                            p.a.data, p.a.stride, p.b.data, p.b.stride, p.beta, p.c, p.c_stride),
      p.M, p.N, p.K);
}

// Cᵀ = op(B)ᵀ op(A)ᵀ: the few rows of A, transposed, are what vectors hold, and B is read where it is, once.
// A library would first copy B, which costs as much as the product where A has 16 rows.
template <class T>
void few_rows(const Product<T>& p) {
  constexpr int64_t chunk = attention_chunk, most_depth = 384;  // of 16 rows this fits the first cache
  auto whole_chunks = [](int64_t n) { return (n + chunk - 1) / chunk * chunk; };
  const AttentionKernels<T>& kernels = attention_kernels<T>();
  int64_t blocks = (p.K + most_depth - 1) / most_depth, depth = (p.K + blocks - 1) / blocks;
  int64_t width = whole_chunks(p.M), length = whole_chunks(p.N);
  Array scratch = Array::empty({depth * width + p.N * width + p.M * length}, dtype_of<T>());
  T *a = scratch.mutable_data<T>(), *transposed = a + depth * width, *sums = transposed + p.N * width;
  for (int64_t k = 0; k < p.K; k += depth) {
    int64_t count = std::min(depth, p.K - k);
    if (p.a.transposed)
      kernels.copy(p.a.data + k * p.a.stride, p.a.stride, count, p.M, a, width);
    else
      kernels.transpose(p.a.data + k, p.a.stride, p.M, count, a, width);
    SmallProduct<T> product{p.N, p.M, count, p.b.data + k, p.b.stride, 1, a, width, transposed, width, k > 0};
    if (!p.b.transposed) {
      product.a = p.b.data + k * p.b.stride;
      std::swap(product.a_row, product.a_column);
    }
    product.fetch_rows = true;
    kernels.multiply(product);
  }
  kernels.transpose(transposed, width, p.N, p.M, sums, length);
  for (int64_t m = 0; m < p.M; ++m, sums += length) {
    T* c = p.c + m * p.c_stride;
    for (int64_t n = 0; n < p.N; ++n) c[n] = p.alpha * sums[n] + (p.beta == 0 ? 0 : p.beta * c[n]);
  }
}

// C = beta · C, what remains of a product without terms.
template <class T, class R>
void scale(const Product<T, R>& p) {
  for (int64_t m = 0; m < p.M; ++m)
    for (R *c = p.c + m * p.c_stride, *end = c + p.N; c != end; ++c) *c = p.beta == 0 ? 0 : p.beta * *c;
}

// This thread's, for as long as it lives: a tile's sums are wanted again and again.
float* room_for(std::vector<float>& room, int64_t numbers) {
  if (std::ssize(room) < numbers) room.resize(numbers);
  return room.data();
}

// Products of bf16 where no library has them: of the factors' numbers in f32.
void widened(GemmBackend backend, const Product<bfloat16, float>& p) {
  int64_t a_rows = p.a.transposed ? p.K : p.M, a_columns = p.a.transposed ? p.M : p.K;
  int64_t b_rows = p.b.transposed ? p.N : p.K, b_columns = p.b.transposed ? p.K : p.N;
  thread_local std::vector<float> room;
  float *a = room_for(room, a_rows * a_columns + b_rows * b_columns), *b = a + a_rows * a_columns;
  for (int64_t i = 0; i < a_rows; ++i)
    conversion_kernels<bfloat16>().load(p.a.data + i * p.a.stride, a + i * a_columns, a_columns);
  for (int64_t i = 0; i < b_rows; ++i)
    conversion_kernels<bfloat16>().load(p.b.data + i * p.b.stride, b + i * b_columns, b_columns);
  Product<float> wide{.M = p.M, .N = p.N, .K = p.K};
  wide.a = {a, a_columns, p.a.transposed};
  wide.b = {b, b_columns, p.b.transposed};
  wide.c = p.c;
  wide.c_stride = p.c_stride;
  wide.alpha = p.alpha;
  wide.beta = p.beta;
  gemm_call(backend, wide);
}

// With sums in a scratch tile, which the next cache holds, and rounded from there.
void rounded(GemmBackend backend, const Product<bfloat16>& p) {
  thread_local std::vector<float> room;
  float* sums = room_for(room, p.M * p.N);
  Product<bfloat16, float> product{.M = p.M, .N = p.N, .K = p.K, .a = p.a, .b = p.b};
  product.c = sums;
  product.c_stride = p.N;
  product.alpha = p.alpha;
  gemm_call(backend, product);
  const ConversionKernels<bfloat16>& kernels = conversion_kernels<bfloat16>();
  for (int64_t m = 0; m < p.M; ++m) {
    bfloat16* row = p.c + m * p.c_stride;
    if (p.bias)
      kernels.store_sum(sums + m * p.N, p.bias, row, p.N);
    else
      kernels.store(sums + m * p.N, row, p.N);
  }
}

}  // namespace

template <class T, class R>
void gemm_call(GemmBackend backend, const Product<T, R>& product) {
  if constexpr (std::is_same_v<R, bfloat16>) {
    rounded(backend, product);
  } else {
    Product<T, R> p = product;
    if (p.bias) {
      for (int64_t m = 0; m < p.M; ++m) std::copy_n(p.bias, p.N, p.c + m * p.c_stride);
      p.beta = 1;
    }
    if (p.K == 0) return scale(p);
    if (backend == GemmBackend::plain) return plain(p);
    prepare_libraries();
    OneThread guard;
    if constexpr (!std::is_same_v<T, double>)
      if (backend == GemmBackend::onednn) return onednn(p);
    if constexpr (std::is_same_v<T, bfloat16>) {
      widened(backend, p);
    } else {
      if (backend == GemmBackend::few_rows) return few_rows(p);
      openblas(p);
    }
  }
}

template void gemm_call(GemmBackend, const Product<float>&);
template void gemm_call(GemmBackend, const Product<double>&);
template void gemm_call(GemmBackend, const Product<bfloat16>&);
template void gemm_call(GemmBackend, const Product<bfloat16, float>&);

}  // namespace bertie
