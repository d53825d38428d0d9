// One call of a library, or of our own loops: what a tile of ops/gemm.cpp comes down to.
#pragma once
#include "bertie/ops/gemm.h"

namespace bertie {

// Computes a checked product with M, N > 0, of which it ignores the batch, on the calling thread alone.
template <class T>
void gemm_call(GemmBackend backend, const Product<T>& product);

}  // namespace bertie
