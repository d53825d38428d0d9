// Compiled once per instruction set; see cmake/VectorKernels.cmake for what may be included here.
#include "bertie/ops/kernels/dropout.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "bertie/ops/kernels/vector_math.h"

namespace bertie::BERTIE_ISA_NAMESPACE {
namespace {

constexpr int side_by_side = 16;  // Philox calls at once, of four words each

// One word per 64-bit lane, in its lower half; the upper half is arbitrary. The compiler doesn't see that the
// upper halves don't matter and multiplies whole lanes, or sorts the halves apart and together again: several
// times slower than the one instruction for it.
#if defined(__AVX512F__)
using Words = uint64_t __attribute__((vector_size(64)));
inline Words product(Words a, Words b) { return (Words)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b); }
#elif defined(__AVX2__)
using Words = uint64_t __attribute__((vector_size(32)));
inline Words product(Words a, Words b) { return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#elif defined(__SSE2__)
using Words = uint64_t __attribute__((vector_size(16)));
inline Words product(Words a, Words b) { return (Words)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#else
using Words = uint64_t __attribute__((vector_size(16)));
inline Words product(Words a, Words b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }
#endif
constexpr int words_lanes = sizeof(Words) / sizeof(uint64_t);

struct Block {
  Words a, b, c, d;
};

// philox(key, {a, c1, c2, c3}) for each a; the rounds are those of autograd/random.cpp.
inline Block philox_rounds(uint64_t key, Words a, uint32_t c1, uint32_t c2, uint32_t c3) {
  const Words zero{};
  Words b = zero + c1, c = zero + c2, d = zero + c3;
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    Words p = product(a, zero + 0xD2511F53u), q = product(c, zero + 0xCD9E8D57u);
    a = (q >> 32) ^ b ^ k0;
    b = q;
    c = (p >> 32) ^ d ^ k1;
    d = p;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {a, b, c, d};
}

// words[row · stride + w · 16 + i] = word w of philox(key, {first + i, c1 + row, c2, c3}). With the rows in
// the inner loop the compiler takes what doesn't depend on them out of it: a quarter of the work.
inline void philox_block(uint64_t key, uint32_t first, int64_t rows, uint32_t c1, uint32_t c2, uint32_t c3,
                         uint32_t* words, int64_t stride) {
  Words step{};
  for (int lane = 0; lane < words_lanes; ++lane) step[lane] = static_cast<uint64_t>(2 * lane);
  for (int i = 0; i < side_by_side; i += 2 * words_lanes) {
    Words counter = step + (first + static_cast<uint32_t>(i));
    for (int64_t row = 0; row < rows; ++row) {
      uint32_t c = c1 + static_cast<uint32_t>(row);
      Block even = philox_rounds(key, counter, c, c2, c3), odd = philox_rounds(key, counter + 1, c, c2, c3);
      auto store = [&](int w, Words low, Words high) {  // neighbors are the halves of one lane
        Words both = (low & 0xFFFFFFFFu) | (high << 32);
        __builtin_memcpy(words + row * stride + w * side_by_side + i, &both, sizeof both);
      };
      store(0, even.a, odd.a);
      store(1, even.b, odd.b);
      store(2, even.c, odd.c);
      store(3, even.d, odd.d);
    }
  }
}

constexpr int64_t block = dropout_block;
static_assert(block == 4 * side_by_side);

template <class T>
void dropout_row(const T* x, T* y, int64_t n, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3,
                 uint32_t threshold, Compute<T> scale) {
  uint32_t words[block];
  for (int64_t begin = 0; begin < n; begin += block) {
    prefetch(x + begin + 256, block);  // the CPU doesn't fetch ahead of loads so far apart in time
    philox_block(key, static_cast<uint32_t>(begin / 4), 1, c1, c2, c3, words, 0);
    int64_t count = n - begin < block ? n - begin : block;
    for (int64_t i = 0; i < count; ++i)
      y[begin + i] = words[i] >= threshold ? x[begin + i] * scale : Compute<T>(0);
  }
}

void random_words(int64_t rows, int64_t n, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3,
                  uint32_t* words, int64_t stride) {
  for (int64_t begin = 0; begin < n; begin += block)
    philox_block(key, static_cast<uint32_t>(begin / 4), rows, c1, c2, c3, words + begin, stride);
}

template <class T>
constexpr DropoutKernels<T> table() {
  return {.dropout_row = dropout_row<T>, .random_words = random_words};
}

}  // namespace

extern const DropoutKernels<float> dropout_f32;
extern const DropoutKernels<double> dropout_f64;
extern const DropoutKernels<bfloat16> dropout_bf16;
const DropoutKernels<float> dropout_f32 = table<float>();
const DropoutKernels<double> dropout_f64 = table<double>();
const DropoutKernels<bfloat16> dropout_bf16 = table<bfloat16>();

}  // namespace bertie::BERTIE_ISA_NAMESPACE
