// One call of a library, or of our own loops: what a tile of ops/gemm.cpp comes down to.
#pragma once
#include <omp.h>

#include "bertie/ops/gemm.h"

namespace bertie {

// While one is in scope, a library called by this thread uses no other: both ask OpenMP how many they may
// have.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneThread() {
    if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Before the first call: sets OpenBLAS to one thread, and oneDNN to the instruction sets that BERTIE_ISA
// names.
void prepare_libraries();

// Computes a checked product with M, N > 0, of which it ignores the batch, on the calling thread alone.
template <class T, class R>
void gemm_call(GemmBackend backend, const Product<T, R>& product);

}  // namespace bertie
