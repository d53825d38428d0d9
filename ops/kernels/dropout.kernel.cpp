// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "ops/kernels/dropout.h"

#ifdef __SSE2__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns about its own header (bug 105593)
#include <immintrin.h>
#endif

#include "ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

constexpr int side_by_side = 16;  // Philox calls at once, of four words each

// One register of 32-bit words, and of 64-bit products. The compiler doesn't find the instruction that
// multiplies every other word to 64 bits by itself, which makes this two to five times as fast as a plain
// loop.
#if defined(__AVX512F__)
constexpr int width = 16;
#elif defined(__AVX2__)
constexpr int width = 8;
#else
constexpr int width = 4;
#endif
typedef uint32_t Words __attribute__((vector_size(4 * width)));
typedef uint64_t Wide __attribute__((vector_size(4 * width)));

inline Wide multiply_even(Words x, Words y) {
#if defined(__AVX512F__)
  return (Wide)_mm512_mul_epu32((__m512i)x, (__m512i)y);
#elif defined(__AVX2__)
  return (Wide)_mm256_mul_epu32((__m256i)x, (__m256i)y);
#elif defined(__SSE2__)
  return (Wide)_mm_mul_epu32((__m128i)x, (__m128i)y);
#else
  return ((Wide)x & 0xFFFFFFFF) * ((Wide)y & 0xFFFFFFFF);
#endif
}

struct Halves {
  Words high, low;
};
inline Halves multiply(Words x, Words y) {
  Wide even = multiply_even(x, y), odd = multiply_even((Words)((Wide)x >> 32), y);
  return {(Words)((even >> 32) | (odd & 0xFFFFFFFF00000000)), (Words)((even & 0xFFFFFFFF) | (odd << 32))};
}

// words[w · 16 + i] = word w of philox(key, {first + i, c1, c2, c3}); the rounds are those of
// autograd/random.cpp.
inline void philox_block(uint64_t key, uint32_t first, uint32_t c1, uint32_t c2, uint32_t c3,
                         uint32_t* words) {
  constexpr int registers = side_by_side / width;
  Words a[registers], b[registers], c[registers], d[registers];
  for (int r = 0; r < registers; ++r) {
    for (int i = 0; i < width; ++i) a[r][i] = first + static_cast<uint32_t>(r * width + i);
    b[r] = Words{} + c1;
    c[r] = Words{} + c2;
    d[r] = Words{} + c3;
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int r = 0; r < registers; ++r) {
      Halves p = multiply(a[r], Words{} + 0xD2511F53), q = multiply(c[r], Words{} + 0xCD9E8D57);
      a[r] = q.high ^ b[r] ^ k0;
      b[r] = q.low;
      c[r] = p.high ^ d[r] ^ k1;
      d[r] = p.low;
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  __builtin_memcpy(words, a, sizeof a);
  __builtin_memcpy(words + side_by_side, b, sizeof b);
  __builtin_memcpy(words + 2 * side_by_side, c, sizeof c);
  __builtin_memcpy(words + 3 * side_by_side, d, sizeof d);
}

template <class T>
void dropout_row(const T* x, T* y, int64_t n, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3,
                 uint32_t threshold, T scale) {
  constexpr int64_t block = 4 * side_by_side;
  uint32_t words[block];
  auto apply = [&](int64_t begin, int64_t count) {
    for (int64_t i = 0; i < count; ++i) y[begin + i] = words[i] >= threshold ? x[begin + i] * scale : T(0);
  };
  for (int64_t begin = 0; begin < n; begin += block) {
    philox_block(key, static_cast<uint32_t>(begin / 4), c1, c2, c3, words);
    if (n - begin >= block)
      apply(begin, block);  // a constant count: no loop for a remainder
    else
      apply(begin, n - begin);
  }
}

}  // namespace

extern const DropoutKernels<float> dropout_f32;
extern const DropoutKernels<double> dropout_f64;
const DropoutKernels<float> dropout_f32{dropout_row<float>};
const DropoutKernels<double> dropout_f64{dropout_row<double>};

}  // namespace bertie::BERTIE_ISA_NAMESPACE
