// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "ops/kernels/dropout.h"

#include "ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

constexpr int side_by_side = 16;  // Philox calls at once, of four words each

// words[w · 16 + i] = word w of philox(key, {first + i, c1, c2, c3}); the rounds are those of autograd/random.cpp.
inline void philox_block(uint64_t key, uint32_t first, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t* words) {
  uint32_t a[side_by_side], b[side_by_side], c[side_by_side], d[side_by_side];
  for (int i = 0; i < side_by_side; ++i) {
    a[i] = first + static_cast<uint32_t>(i);
    b[i] = c1;
    c[i] = c2;
    d[i] = c3;
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < side_by_side; ++i) {
      uint64_t p = uint64_t{0xD2511F53} * a[i], q = uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<uint32_t>(q >> 32) ^ b[i] ^ k0;
      b[i] = static_cast<uint32_t>(q);
      c[i] = static_cast<uint32_t>(p >> 32) ^ d[i] ^ k1;
      d[i] = static_cast<uint32_t>(p);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int i = 0; i < side_by_side; ++i) {
    words[i] = a[i];
    words[side_by_side + i] = b[i];
    words[2 * side_by_side + i] = c[i];
    words[3 * side_by_side + i] = d[i];
  }
}

template <class T>
void dropout_row(const T* x, T* y, int64_t n, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t threshold,
                 T scale) {
  uint32_t words[4 * side_by_side];
  for (int64_t begin = 0; begin < n; begin += 4 * side_by_side) {
    philox_block(key, static_cast<uint32_t>(begin / 4), c1, c2, c3, words);
    int64_t count = n - begin < 4 * side_by_side ? n - begin : 4 * side_by_side;
    for (int64_t i = 0; i < count; ++i) y[begin + i] = words[i] >= threshold ? x[begin + i] * scale : T(0);
  }
}

}  // namespace

extern const DropoutKernels<float> dropout_f32;
extern const DropoutKernels<double> dropout_f64;
const DropoutKernels<float> dropout_f32{dropout_row<float>};
const DropoutKernels<double> dropout_f64{dropout_row<double>};

}  // namespace bertie::BERTIE_ISA_NAMESPACE
