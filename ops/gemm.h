// Matrix products on memory, row-major, in f32, f64 or bf16: what matmul and linear compute with.
//
// Two libraries serve, OpenBLAS (f32, f64) and oneDNN (f32, bf16), and our own loops where x Wᵀ has few rows,
// as for one short text. A product is cut into tiles by its shape and layout alone; each tile is one
// single-threaded call, and a sum over K stays within its tile. So the result has the same bits on any number
// of threads, for one CPU type and one set of library versions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "bertie/autograd/array.h"

namespace bertie {

// A stored matrix and how it enters a product: op(X) is X, or Xᵀ where `transposed`.
template <class T>
struct Factor {
  const T* data = nullptr;
  int64_t stride = 0;  // elements from one stored row to the next, at least a row's length
  bool transposed = false;
  int64_t batch_stride = 0;  // from one matrix of the batch to the next; 0: one for all
};

// C = alpha · op(A) · op(B) + beta · C    op(A) [M, K]   op(B) [K, N]   C [M, N], not overlapping A or B.
// Where beta is 0, C isn't read. Any extent may be 0; K = 0 gives beta · C.
// Products of bfloat16 are added up in float, and stored as that or, where beta is 0, rounded: R is the type
// of C.
template <class T, class R = T>
struct Product {
  int64_t M = 0, N = 0, K = 0;
  Factor<T> a = {}, b = {};
  R* c = nullptr;
  int64_t c_stride = 0;
  Compute<T> alpha = 1, beta = 0;
  // [N], optional: added to every row of alpha · op(A) · op(B); beta must be 0.
  const Compute<T>* bias = nullptr;
  int64_t batch = 1;  // this many products, alike but for the matrices' addresses
  int64_t c_batch_stride = 0;
};

// The product, in tasks of the pool. T and R: float, double, bfloat16, or bfloat16 and float. Throws on
// negative extents, on a stride below a row's length, and on an extent or stride over 2³¹ − 1.
template <class T, class R>
void gemm(const Product<T, R>& product);

// The same for a product that is known to be symmetric, such as X Xᵀ, by little more than half of the work:
// what is above the diagonal is copied from below. Throws where M isn't N, too, and on a bias or beta. T:
// float, double or bfloat16.
template <class T>
void symmetric_gemm(const Product<T>& product);

// `few_rows` is our own, for a few rows times a large matrix that it reads in place. `plain` is the
// textbook's triple loop: the yardstick of the tests. All compute every product.
enum class GemmBackend { openblas, onednn, few_rows, plain };

const char* name(GemmBackend backend);

// Which one computes a product of this type and these extents: the one that was set by hand, else a function
// of the arguments, isa() and OpenBLAS's core type. f64 asked of oneDNN goes to OpenBLAS. bf16 is oneDNN's
// where bf16_instructions() has any; others turn the factors' numbers into f32 first. op(A)[m, k] and
// op(A)[m, k + 1] lie `a_step` elements apart, op(B)[k, n] and op(B)[k + 1, n] `b_step`.
GemmBackend gemm_backend(DType type, int64_t M, int64_t N, int64_t K, int64_t a_step = 1, int64_t b_step = 1);

// Sets one by hand, or none. At the start it is the one that the environment variable BERTIE_GEMM names
// (openblas, onednn or plain; the first product throws on another value). Not while products run.
void set_gemm_backend(std::optional<GemmBackend> backend);

// What this CPU has for products of bf16, and oneDNN uses: BERTIE_ISA and ONEDNN_MAX_CPU_ISA lower it.
enum class Bf16Instructions { none, avx512_bf16, amx };
Bf16Instructions bf16_instructions();
const char* name(Bf16Instructions instructions);  // "AVX512_BF16"

// True where products of bf16 take less time than those of f32; ops/gemm_backend.cpp has the measurements.
bool bf16_products_gain();

// For a program's main(), before the first product: has OpenBLAS map its buffer of 128 MB of addresses for
// each of thread_count() threads, and throws where the system has no room for them. OpenBLAS itself would ask
// for one again and again, forever. Takes no memory.
void reserve_gemm_buffers();

// For a program's main(), before rest_waiting_threads(): where OpenBLAS doesn't know this CPU and fell back
// to slow kernels, and the user didn't choose, sets OPENBLAS_CORETYPE to those for the CPU's instructions.
// OpenBLAS reads it when it is loaded, so the program must be started anew. True where it was set.
bool choose_openblas_kernels();

// The libraries that serve, with their versions, and the core type whose kernels OpenBLAS uses: "OpenBLAS
// 0.3.21 …, SkylakeX; oneDNN 2.6.3".
std::string gemm_libraries();

// A line for people whose OpenBLAS doesn't know their CPU and fell back to slow kernels; else empty.
std::string gemm_advice();

}  // namespace bertie
