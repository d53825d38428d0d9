// Products on memory: each backend against the textbook's loops, at the borders of tiles.
#include "bertie/ops/gemm.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/column_sum.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

constexpr GemmBackend backends[] = {GemmBackend::openblas, GemmBackend::onednn, GemmBackend::few_rows,
                                    GemmBackend::plain};

// Puts everything back as it was.
class Gemm : public testing::Test {
 protected:
  ~Gemm() override {
    set_gemm_backend(std::nullopt);
    set_thread_count(threads_);
  }
  int threads_ = thread_count();
};

template <class T>
std::vector<T> random_values(int64_t count, uint64_t stream) {
  Random random(3, stream);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = static_cast<T>(2 * random.uniform() - 1);
  return values;
}

// A product with rows further apart than they are long, at addresses that are no multiple of a vector's
// length.
template <class T>
struct Problem {
  Problem(int64_t M, int64_t N, int64_t K, bool ta, bool tb, T beta, int64_t gap = 3)
      : a(random_values<T>((ta ? K : M) * ((ta ? M : K) + gap) + 1, 1)),
        b(random_values<T>((tb ? N : K) * ((tb ? K : N) + gap) + 1, 2)),
        c(random_values<T>(M * (N + gap) + 1, 3)) {
    product = {.M = M, .N = N, .K = K, .alpha = T(0.5), .beta = beta};
    product.a = {a.data() + 1, (ta ? M : K) + gap, ta};
    product.b = {b.data() + 1, (tb ? K : N) + gap, tb};
    product.c_stride = N + gap;
  }

  // Beyond the rows of the result, all of C must stay as it is.
  std::vector<T> run(void (*multiply)(const Product<T>&)) {
    std::vector<T> result = c;
    if (product.beta == 0) {
      for (int64_t m = 0; m < product.M; ++m)
        std::fill_n(result.data() + 1 + m * product.c_stride, product.N, std::numeric_limits<T>::quiet_NaN());
    }
    product.c = result.data() + 1;
    multiply(product);
    return result;
  }

  // In f64, whatever T is.
  std::vector<double> expected() const {
    std::vector<double> result(c.begin(), c.end());
    const Factor<T>&x = product.a, &y = product.b;
    for (int64_t m = 0; m < product.M; ++m) {
      for (int64_t n = 0; n < product.N; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < product.K; ++k)
          sum += double{x.transposed ? x.data[k * x.stride + m] : x.data[m * x.stride + k]} *
                 double{y.transposed ? y.data[n * y.stride + k] : y.data[k * y.stride + n]};
        double& out = result[1 + m * product.c_stride + n];
        out = double{product.alpha} * sum + (product.bias ? product.bias[n] : double{product.beta} * out);
      }
    }
    return result;
  }

  std::vector<T> a, b, c;
  Product<T> product;
};

template <class T>
void expect_close(const std::vector<T>& result, const std::vector<double>& expected, int64_t K,
                  const std::string& what) {
  ASSERT_EQ(result.size(), expected.size());
  // Sums of K numbers in -1 … 1 stay around √K, and so do K roundings of relative size ε when they add up.
  double allowed = std::numeric_limits<T>::epsilon() * static_cast<double>(K + 2), worst = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    double error = std::abs(result[i] - expected[i]);
    worst = error <= worst ? worst : error;  // NaN is the worst
  }
  EXPECT_LE(worst, allowed) << what;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

std::string title(GemmBackend backend, int64_t M, int64_t N, int64_t K, bool ta, bool tb) {
  return std::string(name(backend)) + " " + std::to_string(M) + " x " + std::to_string(N) + " x " +
         std::to_string(K) + (ta ? " T" : " N") + (tb ? "T" : "N");
}

struct Extents {
  int64_t M, N, K;
};
// One tile; several, of which the last are smaller; more than two million terms each way.
constexpr Extents shapes[] = {{1, 1, 1},    {7, 47, 3},     {8, 48, 64},    {9, 49, 65},    {1, 769, 100},
                              {300, 1, 70}, {65, 129, 513}, {257, 97, 200}, {72, 390, 170}, {130, 66, 1024}};

template <class T>
void check_all_shapes(GemmBackend backend) {
  set_gemm_backend(backend);
  for (auto [M, N, K] : shapes) {
    for (int kind = 0; kind < 8; ++kind) {
      bool ta = kind & 1, tb = kind & 2;
      if (M * N * K > 1'000'000 && (kind + M) % 4 != 0) continue;  // enough of them
      Problem<T> problem(M, N, K, ta, tb, kind & 4 ? T(1) : T(0));
      std::vector<double> expected = problem.expected();
      expect_close(problem.run(gemm<T>), expected, K, title(backend, M, N, K, ta, tb));
    }
  }
}

TEST_F(Gemm, EveryBackendAgreesWithTheTextbookInF32) {
  for (GemmBackend backend : backends) check_all_shapes<float>(backend);
}

TEST_F(Gemm, EveryBackendAgreesWithTheTextbookInF64) {
  for (GemmBackend backend : {GemmBackend::openblas, GemmBackend::few_rows, GemmBackend::plain})
    check_all_shapes<double>(backend);
}

TEST_F(Gemm, SameBitsOnAnyNumberOfThreads) {
  for (GemmBackend backend : backends) {
    set_gemm_backend(backend);
    for (auto [M, N, K] : {Extents{400, 400, 150}, {65, 129, 513}, {70, 64, 900}}) {
      for (int kind = 0; kind < 4; ++kind) {
        if (backend == GemmBackend::plain && kind != 2) continue;  // slow
        Problem<float> f32(M, N, K, kind & 1, kind & 2, 1);
        Problem<double> f64(M, N, K, kind & 1, kind & 2, 1);
        set_thread_count(1);
        std::vector<float> expected_f32 = f32.run(gemm<float>);
        std::vector<double> expected_f64 = f64.run(gemm<double>);
        for (int threads : {2, 3, 5}) {
          set_thread_count(threads);
          EXPECT_TRUE(same_bits(f32.run(gemm<float>), expected_f32))
              << threads << " threads, " << title(backend, M, N, K, kind & 1, kind & 2);
          EXPECT_TRUE(same_bits(f64.run(gemm<double>), expected_f64))
              << threads << " threads, f64, " << title(backend, M, N, K, kind & 1, kind & 2);
        }
      }
    }
  }
}

// Within a task of the pool and outside of any: the libraries must not use threads of their own in either
// place.
TEST_F(Gemm, BatchesAndBiases) {
  for (GemmBackend backend : backends) {
    set_gemm_backend(backend);
    for (auto [M, N, K] : {Extents{5, 7, 6}, {70, 100, 310}}) {
      constexpr int64_t batch = 4;
      std::vector<float> a = random_values<float>(batch * M * K, 1), b = random_values<float>(K * N, 2);
      std::vector<float> bias = random_values<float>(N, 4), c(batch * M * N, std::nanf("")), one(M * N);
      Product<float> p{.M = M, .N = N, .K = K};
      p.a = {a.data(), K, false, M * K};
      p.b = {b.data(), N};
      p.c = c.data();
      p.c_stride = N;
      p.c_batch_stride = M * N;
      p.batch = batch;
      p.bias = bias.data();
      gemm(p);
      for (int64_t i = 0; i < batch; ++i) {
        Problem<float> single(M, N, K, false, false, 0, 0);
        single.product.alpha = 1;
        single.product.bias = bias.data();
        single.product.a.data = a.data() + i * M * K;
        single.product.b.data = b.data();
        std::vector<double> expected = single.expected();
        expect_close(std::vector<float>(c.begin() + i * M * N, c.begin() + (i + 1) * M * N),
                     {expected.begin() + 1, expected.end()}, K, title(backend, M, N, K, false, false));
      }
    }
  }
}

// X Xᵀ and Xᵀ X of three matrices, rows of the result further apart than they are long.
template <class T>
void check_symmetric(int64_t n, int64_t K, bool transposed) {
  constexpr int64_t count = 3, gap = 2;
  int64_t stride = transposed ? n : K, size = n * K, rows = n + gap;
  std::vector<T> x = random_values<T>(count * size, 4), c(count * n * rows, T(7));
  symmetric_gemm(Product<T>{.M = n,
                            .N = n,
                            .K = K,
                            .a = {x.data(), stride, transposed, size},
                            .b = {x.data(), stride, !transposed, size},
                            .c = c.data(),
                            .c_stride = rows,
                            .alpha = T(0.5),
                            .batch = count,
                            .c_batch_stride = n * rows});
  std::vector<double> expected(c.size(), 7);
  for (int64_t index = 0; index < count; ++index)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        long double sum = 0;  // on the diagonal it grows with K, and so would its own error
        auto element = [&](int64_t row, int64_t k) {
          return static_cast<long double>(
              x[index * size + (transposed ? k * stride + row : row * stride + k)]);
        };
        for (int64_t k = 0; k < K; ++k) sum += element(i, k) * element(j, k);
        expected[(index * n + i) * rows + j] = static_cast<double>(sum / 2);
      }
  expect_close(c, expected, K, title(GemmBackend::plain, n, n, K, transposed, !transposed));
}

TEST_F(Gemm, SymmetricProductsAreWhole) {
  for (int64_t n : {1, 40, 97, 200, 301})
    for (bool transposed : {false, true}) {
      check_symmetric<float>(n, 70, transposed);
      check_symmetric<double>(n, 130, transposed);
    }
  float c = 7;
  symmetric_gemm(Product<float>{.c = &c});
  symmetric_gemm(
      Product<float>{.M = 1, .N = 1, .a = {nullptr, 1}, .b = {nullptr, 1}, .c = &c, .c_stride = 1});
  EXPECT_EQ(c, 0);  // the second has K = 0
}

TEST_F(Gemm, ZeroSizes) {
  for (GemmBackend backend : backends) {
    set_gemm_backend(backend);
    for (auto [M, N, K] : {Extents{0, 3, 2}, {3, 0, 2}, {0, 0, 0}}) {
      Problem<float> problem(M, N, K, false, true, 0);
      EXPECT_TRUE(same_bits(problem.run(gemm<float>), problem.c));
    }
    Problem<float> zero(2, 3, 0, false, false, 0), half(2, 3, 0, false, false, 0.5);
    expect_close(zero.run(gemm<float>), zero.expected(), 0, name(backend));
    expect_close(half.run(gemm<float>), half.expected(), 0, name(backend));
  }
  Problem<double> none(2, 3, 4, false, false, 1);
  none.product.batch = 0;
  EXPECT_TRUE(same_bits(none.run(gemm<double>), none.c));
}

// A NaN or an infinity must reach the result, also where the other factor is 0.
TEST_F(Gemm, NotANumberStaysVisible) {
  for (GemmBackend backend : backends) {
    set_gemm_backend(backend);
    for (float odd : {std::nanf(""), INFINITY}) {
      std::vector<float> a(20 * 30, 0), b(30 * 50, 0), c(20 * 50, 1);
      a[7 * 30 + 4] = odd;
      gemm(Product<float>{.M = 20,
                          .N = 50,
                          .K = 30,
                          .a = {a.data(), 30},
                          .b = {b.data(), 50},
                          .c = c.data(),
                          .c_stride = 50});
      for (int64_t i = 0; i < 20 * 50; ++i)
        EXPECT_EQ(std::isnan(c[i]), i / 50 == 7) << name(backend) << " at " << i;
    }
  }
}

TEST_F(Gemm, WhoServesIsAFunctionOfTheArgumentsUnlessSetByHand) {
  EXPECT_EQ(gemm_backend(DType::f64, 100, 100, 100), GemmBackend::openblas);
  EXPECT_EQ(gemm_backend(DType::f32, 1024, 768, 768), gemm_backend(DType::f32, 1024, 768, 768));
  EXPECT_NE(gemm_backend(DType::f32, 1024, 768, 768), GemmBackend::plain);
  if (isa() != Isa::baseline) {
    EXPECT_EQ(gemm_backend(DType::f32, 16, 768, 768), GemmBackend::few_rows);
    EXPECT_NE(gemm_backend(DType::f32, 256, 768, 768), GemmBackend::few_rows);
  }
  set_gemm_backend(GemmBackend::onednn);
  EXPECT_EQ(gemm_backend(DType::f32, 1, 1, 1), GemmBackend::onednn);
  EXPECT_EQ(gemm_backend(DType::f64, 1, 1, 1), GemmBackend::openblas);
  set_gemm_backend(GemmBackend::plain);
  EXPECT_EQ(gemm_backend(DType::f64, 1, 1, 1), GemmBackend::plain);
}

TEST_F(Gemm, WrongArgumentsAreNamed) {
  auto message = [](auto change) {
    Problem<float> problem(2, 3, 4, false, false, 0);
    std::vector<float> c(100);
    problem.product.c = c.data();
    change(problem.product);
    return message_of([&] { gemm(problem.product); });
  };
  EXPECT_EQ(message([](Product<float>& p) { p.a.stride = 3; }),
            "[gemm] rows must not overlap: A has rows of 4 elements and stride 3");
  EXPECT_EQ(message([](Product<float>& p) { p.c_stride = 2; }),
            "[gemm] rows must not overlap: C has rows of 3 elements and stride 2");
  EXPECT_EQ(message([](Product<float>& p) { p.b.data = nullptr; }), "[gemm] B has no data");
  EXPECT_EQ(message([](Product<float>& p) { p.K = -1; }),
            "[gemm] extents must be 0 … 2147483647: M = 2, N = 3, K = -1");
  EXPECT_EQ(message([](Product<float>& p) { p.b.stride = int64_t{1} << 31; }),
            "[gemm] strides must be below 2^31: B has 2147483648");
  EXPECT_EQ(message([](Product<float>& p) { p.bias = p.a.data, p.beta = 1; }),
            "[gemm] a product takes either a bias or beta, got beta = 1");
  EXPECT_EQ(
      message_of([] {
        Problem<float> problem(3, 3, 4, false, false, 0);
        std::vector<float> c(100);
        problem.product.c = c.data();
        problem.product.N = 2;
        symmetric_gemm(problem.product);
      }),
      "[gemm] a symmetric product has as many rows as columns, no bias and beta = 0, got 3 by 2, no bias, 0");
}

// Where the stack pointer of an interrupted thread was: oneDNN's kernels leave the stack. The handler has a
// stack of its own, so that the test itself survives what it looks for.
pthread_t computing;  // others that wait have other stacks
char *stack_begin = nullptr, *stack_end = nullptr;
std::atomic<int64_t> interrupts{0}, outside{0};

void look_at_stack_pointer(int, siginfo_t*, void* context) {
  auto pointer = reinterpret_cast<char*>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
  if (!pthread_equal(pthread_self(), computing)) return;
  ++interrupts;
  if (pointer < stack_begin || pointer >= stack_end) ++outside;
}

TEST_F(Gemm, AHandlerFindsTheStackWhereItBelongs) {
  set_thread_count(1);
  pthread_attr_t attributes;
  void* begin = nullptr;
  size_t size = 0;
  ASSERT_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
  pthread_attr_getstack(&attributes, &begin, &size);
  pthread_attr_destroy(&attributes);
  computing = pthread_self();
  stack_begin = static_cast<char*>(begin), stack_end = stack_begin + size;
  std::vector<char> own(1 << 16);
  stack_t stack{}, stack_before{};
  stack.ss_sp = own.data(), stack.ss_size = own.size();
  sigaltstack(&stack, &stack_before);
  struct sigaction action {
  }, before{};
  action.sa_sigaction = look_at_stack_pointer;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigaction(SIGALRM, &action, &before);
  itimerval every{{0, 100}, {0, 100}}, never{};  // microseconds
  setitimer(ITIMER_REAL, &every, nullptr);
  for (GemmBackend backend : {GemmBackend::openblas, GemmBackend::onednn, GemmBackend::few_rows}) {
    set_gemm_backend(backend);
    interrupts = outside = 0;
    while (interrupts < 100) {
      for (bool ta : {false, true})
        for (bool tb : {false, true}) Problem<float>(130, 120, 110, ta, tb, 0).run(gemm);
    }
    EXPECT_EQ(outside, 0) << name(backend);
  }
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  sigaltstack(&stack_before, nullptr);
}

TEST(ColumnSum, AddsRowsInBlocks) {
  for (auto [rows, columns] :
       {std::pair<int64_t, int64_t>{0, 3}, {1, 5}, {64, 2}, {65, 300}, {1000, 7}, {3, 0}}) {
    std::vector<double> x = random_values<double>(rows * columns, 5), expected(columns, 0);
    for (int64_t i = 0; i < rows * columns; ++i) expected[i % columns] += x[i];
    std::vector<double> y = column_sum(Array::from(x, {rows, columns})).to_vector<double>();
    ASSERT_EQ(y.size(), expected.size());
    for (int64_t c = 0; c < columns; ++c) EXPECT_NEAR(y[c], expected[c], 1e-12);
  }
  EXPECT_EQ(message_of([] { column_sum(Array::zeros({3}, DType::f32)); }),
            "[column_sum] needs a matrix, got [3]");
}

}  // namespace
}  // namespace bertie
