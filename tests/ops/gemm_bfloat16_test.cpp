// Products of bf16 on memory. Of small whole numbers every sum is exact, in any order and by whichever
// library or instruction, so that each bit of the result is known.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

class GemmOfBf16 : public testing::Test {
 protected:
  ~GemmOfBf16() override {
    set_gemm_backend(std::nullopt);
    set_thread_count(threads_);
  }
  int threads_ = thread_count();
};

constexpr std::optional<GemmBackend> whoever[] = {std::nullopt, GemmBackend::openblas, GemmBackend::onednn,
                                                  GemmBackend::few_rows, GemmBackend::plain};

template <class T>
std::vector<T> whole_values(int64_t count, uint64_t stream) {
  Random random(3, stream);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<float>(random.below(7)) - 3;
  return values;
}

// What surrounds the rows of C and must stay.
constexpr float surroundings = 77;

// A batch of products with rows further apart than they are long, at odd addresses, R the type of C.
template <class R>
struct WholeProduct {
  WholeProduct(int64_t M, int64_t N, int64_t K, bool ta, bool tb, float beta, bool with_bias,
               int64_t batch = 1)
      : a(whole_values<bfloat16>(batch * (stored_extent(M, K, ta) * (stored_extent(K, M, ta) + gap)) + 1, 1)),
        b(whole_values<bfloat16>(stored_extent(K, N, tb) * (stored_extent(N, K, tb) + gap) + 1, 2)),
        bias(whole_values<float>(N, 3)),
        c(batch * M * (N + gap) + 1, R(surroundings)) {
    p = {.M = M, .N = N, .K = K, .alpha = 0.5, .beta = beta, .batch = batch};
    p.a = {a.data() + 1, stored_extent(K, M, ta) + gap, ta,
           stored_extent(M, K, ta) * (stored_extent(K, M, ta) + gap)};
    p.b = {b.data() + 1, stored_extent(N, K, tb) + gap, tb, 0};
    p.c_stride = N + gap;
    p.c_batch_stride = M * p.c_stride;
    if (with_bias) p.bias = bias.data();
    // Where C isn't to be read there is nothing to read.
    std::vector<float> old = whole_values<float>(std::ssize(c), 4);
    for (int64_t row = 0; row < batch * M; ++row)
      for (int64_t n = 0; n < N; ++n) {
        R& at = c[1 + row * p.c_stride + n];
        at = beta == 0 ? std::numeric_limits<float>::quiet_NaN() : old[row * p.c_stride + n];
      }
  }

  std::vector<float> run() {
    std::vector<R> result = c;
    p.c = result.data() + 1;
    gemm(p);
    return {result.begin(), result.end()};
  }

  std::vector<float> expected() const {
    std::vector<float> result(c.begin(), c.end());
    for (int64_t row = 0; row < p.batch * p.M; ++row) {
      int64_t i = row / p.M, m = row % p.M;
      for (int64_t n = 0; n < p.N; ++n) {
        float sum = 0;
        for (int64_t k = 0; k < p.K; ++k)
          sum += p.a.data[i * p.a.batch_stride + (p.a.transposed ? k * p.a.stride + m : m * p.a.stride + k)] *
                 p.b.data[p.b.transposed ? n * p.b.stride + k : k * p.b.stride + n];
        float& out = result[1 + row * p.c_stride + n];
        out = p.alpha * sum + (p.beta == 0 ? 0 : p.beta * out) + (p.bias ? p.bias[n] : 0);
        if (std::is_same_v<R, bfloat16>) out = bfloat16(out);
      }
    }
    return result;
  }

  static constexpr int64_t gap = 3;
  static int64_t stored_extent(int64_t rows, int64_t columns, bool transposed) {
    return transposed ? columns : rows;
  }
  std::vector<bfloat16> a, b;
  std::vector<float> bias;
  std::vector<R> c;
  Product<bfloat16, R> p;
};

// One tile; several, of which the last are smaller; small and large numbers of rows.
constexpr int64_t bf16_extents[][3] = {{1, 1, 1},      {2, 3, 2},      {7, 47, 3},     {9, 49, 65},
                                       {1, 769, 100},  {300, 1, 71},   {33, 130, 129}, {65, 129, 513},
                                       {260, 390, 33}, {72, 390, 170}, {600, 70, 64}};

template <class R>
void expect_whole_products(float beta, bool with_bias) {
  for (const auto& extents : bf16_extents) {
    int64_t M = extents[0], N = extents[1], K = extents[2];
    for (int kind = 0; kind < 4; ++kind) {
      WholeProduct<R> product(M, N, K, kind & 1, kind & 2, beta, with_bias);
      std::vector<float> expected = product.expected();
      for (const auto& backend : whoever) {
        set_gemm_backend(backend);
        ASSERT_EQ(product.run(), expected)
            << (backend ? name(*backend) : "chosen") << " " << M << " x " << N << " x " << K << ", " << kind;
      }
    }
  }
}

TEST_F(GemmOfBf16, IsStoredInF32) { expect_whole_products<float>(0, false); }
TEST_F(GemmOfBf16, IsAddedToC) { expect_whole_products<float>(1, false); }
TEST_F(GemmOfBf16, IsAddedToAShareOfC) { expect_whole_products<float>(0.5, false); }
TEST_F(GemmOfBf16, TakesABias) { expect_whole_products<float>(0, true); }
TEST_F(GemmOfBf16, IsRounded) { expect_whole_products<bfloat16>(0, false); }
TEST_F(GemmOfBf16, IsRoundedWithItsBias) { expect_whole_products<bfloat16>(0, true); }

TEST_F(GemmOfBf16, Batches) {
  for (const auto& backend : whoever) {
    set_gemm_backend(backend);
    for (int kind = 0; kind < 4; ++kind) {
      WholeProduct<float> sums(5, 7, 6, kind & 1, kind & 2, 1, false, 4);
      EXPECT_EQ(sums.run(), sums.expected()) << kind;
      WholeProduct<bfloat16> stored(70, 100, 33, kind & 1, kind & 2, 0, true, 3);
      EXPECT_EQ(stored.run(), stored.expected()) << kind;
    }
  }
}

// X Xᵀ and Xᵀ X of two matrices.
TEST_F(GemmOfBf16, SymmetricProductsAreWholeAndRounded) {
  for (int64_t n : {1, 40, 97, 200})
    for (bool transposed : {false, true}) {
      constexpr int64_t K = 70, count = 2;
      int64_t stride = transposed ? n : K, size = n * K;
      std::vector<bfloat16> x = whole_values<bfloat16>(count * size, 5);
      std::vector<bfloat16> c(count * n * n, surroundings);
      symmetric_gemm(Product<bfloat16>{.M = n,
                                       .N = n,
                                       .K = K,
                                       .a = {x.data(), stride, transposed, size},
                                       .b = {x.data(), stride, !transposed, size},
                                       .c = c.data(),
                                       .c_stride = n,
                                       .batch = count,
                                       .c_batch_stride = n * n});
      for (int64_t at = 0; at < std::ssize(c); ++at) {
        float sum = 0;
        auto element = [&](int64_t row, int64_t k) -> float {
          return x[at / (n * n) * size + (transposed ? k * stride + row : row * stride + k)];
        };
        for (int64_t k = 0; k < K; ++k) sum += element(at / n % n, k) * element(at % n, k);
        ASSERT_EQ(float(c[at]), float(bfloat16(sum))) << n << ", " << transposed << ", " << at;
      }
    }
}

TEST_F(GemmOfBf16, WithoutTerms) {
  for (const auto& backend : whoever) {
    set_gemm_backend(backend);
    for (float beta : {0.0f, 0.5f}) {
      WholeProduct<float> sums(2, 3, 0, false, false, beta, false);
      EXPECT_EQ(sums.run(), sums.expected());
    }
    WholeProduct<float> bias_alone(2, 3, 0, false, true, 0, true);
    EXPECT_EQ(bias_alone.run(), bias_alone.expected());
    for (bool with_bias : {false, true}) {
      WholeProduct<bfloat16> stored(2, 3, 0, true, false, 0, with_bias);
      EXPECT_EQ(stored.run(), stored.expected());
    }
    WholeProduct<bfloat16> no_rows(0, 3, 2, false, false, 0, true),
        no_columns(3, 0, 2, false, false, 0, true);
    EXPECT_EQ(no_rows.run(), no_rows.expected());
    EXPECT_EQ(no_columns.run(), no_columns.expected());
  }
}

// A bias that was rounded before it is added, or a sum before it gets the bias: 256 + 1 + 1.
TEST_F(GemmOfBf16, IsRoundedOnce) {
  for (const auto& backend : whoever) {
    set_gemm_backend(backend);
    std::vector<bfloat16> a{16, 1}, b{16, 1}, c(1);
    float bias = 1.001f;
    Product<bfloat16> p{.M = 1, .N = 1, .K = 2, .a = {a.data(), 2}, .b = {b.data(), 1}};
    p.c = c.data();
    p.c_stride = 1;
    p.bias = &bias;
    gemm(p);
    EXPECT_EQ(float(c[0]), 258);
    bias = 0.001f;  // 257 is a middle, 257.001 nearer to 258
    gemm(p);
    EXPECT_EQ(float(c[0]), 258);
  }
}

// With numbers of which the order of a sum shows.
template <class R>
void expect_bits_of_one_thread(int64_t M, int64_t N, int64_t K, int kind) {
  WholeProduct<R> product(M, N, K, kind & 1, kind & 2, 0, true);
  Random random(11);
  for (std::vector<bfloat16>* factor : {&product.a, &product.b})
    for (bfloat16& value : *factor) value = static_cast<float>(random.normal());
  set_thread_count(1);
  std::vector<float> expected = product.run();
  for (int threads : {2, 3, 5}) {
    set_thread_count(threads);
    std::vector<float> result = product.run();
    for (size_t i = 0; i < result.size(); ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(result[i]), std::bit_cast<uint32_t>(expected[i]))
          << threads << " threads, " << M << " x " << N << " x " << K << ", " << kind;
  }
}

TEST_F(GemmOfBf16, SameBitsOnAnyNumberOfThreads) {
  for (const auto& backend : whoever) {
    set_gemm_backend(backend);
    for (int kind = 0; kind < 4; ++kind) {
      if (backend == GemmBackend::plain && kind != 2) continue;  // slow
      expect_bits_of_one_thread<float>(400, 400, 150, kind);
      expect_bits_of_one_thread<bfloat16>(400, 400, 150, kind);
      expect_bits_of_one_thread<float>(65, 129, 513, kind);
      expect_bits_of_one_thread<bfloat16>(70, 64, 900, kind);
    }
  }
}

// Sums in f32: in bf16 that of 5,000 ones would stay at 256, and products rounded to bf16 would lose the
// 2⁻¹⁴.
TEST_F(GemmOfBf16, SumsAndProductsAreFloats) {
  for (const auto& backend : whoever) {
    set_gemm_backend(backend);
    std::vector<bfloat16> ones(5000, bfloat16(1)), odd{1 + 0x1p-7f};
    float sum = 0, square = 0;
    gemm(Product<bfloat16, float>{.M = 1,
                                  .N = 1,
                                  .K = 5000,
                                  .a = {ones.data(), 5000},
                                  .b = {ones.data(), 1},
                                  .c = &sum,
                                  .c_stride = 1});
    gemm(Product<bfloat16, float>{
        .M = 1, .N = 1, .K = 1, .a = {odd.data(), 1}, .b = {odd.data(), 1}, .c = &square, .c_stride = 1});
    EXPECT_EQ(sum, 5000);
    EXPECT_EQ(square, 1 + 0x1p-6f + 0x1p-14f);
  }
}

TEST_F(GemmOfBf16, NotANumberReachesTheResult) {
  for (const auto& backend : whoever) {
    set_gemm_backend(backend);
    for (float odd : {std::nanf(""), INFINITY}) {
      std::vector<bfloat16> a(20 * 30, bfloat16(0)), b(30 * 50, bfloat16(0)), c(20 * 50);
      a[7 * 30 + 4] = odd;
      Product<bfloat16> p{.M = 20, .N = 50, .K = 30, .a = {a.data(), 30}, .b = {b.data(), 50}};
      p.c = c.data();
      p.c_stride = 50;
      gemm(p);
      for (int64_t i = 0; i < 20 * 50; ++i) EXPECT_EQ(std::isnan(float(c[i])), i / 50 == 7) << i;
    }
  }
}

TEST_F(GemmOfBf16, ARoundedProductIsAddedToNothing) {
  WholeProduct<bfloat16> product(2, 3, 4, false, false, 1, false);
  std::vector<bfloat16> before = product.c;
  EXPECT_EQ(message_of([&] { product.run(); }),
            "[gemm] a product that is rounded can't be added to C, got beta = 1");
  product.p.bias = product.bias.data();
  EXPECT_EQ(message_of([&] { product.run(); }), "[gemm] a product takes either a bias or beta, got beta = 1");
  product.p.beta = 0;
  product.p.c_stride = 2;
  EXPECT_EQ(message_of([&] { product.run(); }),
            "[gemm] rows must not overlap: C has rows of 3 elements and stride 2");
}

TEST_F(GemmOfBf16, OneDnnServesWhereTheCpuHasInstructions) {
  bool has_instructions = bf16_instructions() != Bf16Instructions::none;
  EXPECT_EQ(gemm_backend(DType::bf16, 64, 768, 768),
            has_instructions ? GemmBackend::onednn : GemmBackend::openblas);
  set_gemm_backend(GemmBackend::onednn);  // which has none of its own for others
  EXPECT_EQ(gemm_backend(DType::bf16, 64, 768, 768),
            has_instructions ? GemmBackend::onednn : GemmBackend::openblas);
  set_gemm_backend(GemmBackend::plain);
  EXPECT_EQ(gemm_backend(DType::bf16, 64, 768, 768), GemmBackend::plain);
  if (!has_instructions) {
    EXPECT_FALSE(bf16_products_gain());
  }
  EXPECT_STREQ(name(Bf16Instructions::none), "none");
  EXPECT_STREQ(name(Bf16Instructions::avx512_bf16), "AVX512_BF16");
  EXPECT_STREQ(name(Bf16Instructions::amx), "AMX");
}

}  // namespace
}  // namespace bertie
