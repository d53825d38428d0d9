#include "bertie/ops/matmul.h"

#include <cmath>
#include <numbers>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

Shape batched(int64_t batch, int64_t rows, int64_t columns, bool transposed) {
  if (transposed) std::swap(rows, columns);
  return batch > 0 ? Shape{batch, rows, columns} : Shape{rows, columns};
}

// Sizes {M, N, K, batch of a, batch of b}; no batch axis where 0.
OpCase matmul_case(const std::string& name, bool ta, bool tb) {
  OpCase e;
  e.name = name;
  e.inputs = [=](const Sizes& s) {
    return std::vector<Input>{{batched(s[3], s[0], s[2], ta)}, {batched(s[4], s[2], s[1], tb)}};
  };
  e.op = [=](const std::vector<Tensor>& in, const Sizes&) { return matmul(in[0], in[1], {ta, tb}); };
  e.loops([=]<class T>(const Values<T>& in, const Sizes& s) {
    int64_t M = s[0], N = s[1], K = s[2], batch = std::max<int64_t>(1, s[3]);
    std::vector<T> y;
    for (int64_t i = 0; i < batch; ++i) {
      const T *a = in[0].data() + i * M * K, *b = in[1].data() + (s[4] > 0 ? i * K * N : 0);
      for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) {
          T sum = 0;
          for (int64_t k = 0; k < K; ++k)
            sum += (ta ? a[k * M + m] : a[m * K + k]) * (tb ? b[n * K + k] : b[k * N + n]);
          y.push_back(sum);
        }
      }
    }
    return y;
  });
  e.flops = [](const Sizes& s) { return 2.0 * s[0] * s[1] * s[2] * std::max<int64_t>(1, s[3]); };
  return e;
}

Tensor zeros(const Shape& shape, DType type = DType::f32) { return Array::zeros(shape, type); }

}  // namespace

void add_matmul_cases(std::vector<OpCase>& table) {
  for (auto [name, ta, tb] : {std::tuple{"matmul", false, false},
                              {"matmul, a transposed", true, false},
                              {"matmul, b transposed", false, true},
                              {"matmul, both transposed", true, true}}) {
    OpCase e = matmul_case(name, ta, tb);
    e.check_sizes = {{3, 4, 5, 0, 0}, {1, 1, 1, 0, 0}, {1, 5, 2, 0, 0}, {4, 1, 3, 0, 0},
                     {2, 3, 0, 0, 0}, {0, 3, 2, 0, 0}, {3, 0, 2, 0, 0}};
    e.large_sizes = {{17, 49, 33, 0, 0}, {8, 16, 64, 0, 0}, {257, 130, 129, 0, 0}, {129, 307, 113, 0, 0}};
    if (!ta && !tb) {
      e.bench_sizes = {{2048, 2048, 2048, 0, 0}};
      e.errors = {{"inner dimensions",
                   [] {
                     matmul(zeros({4, 3}), zeros({5, 2}));
                   },
                   "[matmul] inner dimensions must agree: a is [4, 3], b is [5, 2]"},
                  {"inner dimensions, transposed",
                   [] {
                     matmul(zeros({4, 3}), zeros({3, 2}), {true, false});
                   },
                   "a is [4, 3] transposed, b is [3, 2]"},
                  {"one axis",
                   [] {
                     matmul(zeros({3}), zeros({3, 2}));
                   },
                   "[matmul] needs at least two axes: a is [3], b is [3, 2]"},
                  {"batches",
                   [] {
                     matmul(zeros({2, 4, 3}), zeros({3, 3, 5}));
                   },
                   "[matmul] leading axes must agree"},
                  {"batch of b alone",
                   [] {
                     matmul(zeros({4, 3}), zeros({2, 3, 5}));
                   },
                   "[matmul] leading axes must agree"},
                  {"types",
                   [] {
                     matmul(zeros({1, 1}), zeros({1, 1}, DType::f64));
                   },
                   "[matmul] element types must agree: a is f32, b is f64"},
                  {"integers",
                   [] {
                     matmul(zeros({1, 1}, DType::i32), zeros({1, 1}, DType::i32));
                   },
                   "[matmul] takes f32, f64 or bf16, got i32"},
                  {"no value",
                   [] {
                     matmul(zeros({1, 1}), Tensor());
                   },
                   "[matmul] needs two tensors with values"}};
    }
    table.push_back(e);

    OpCase batch = matmul_case(std::string("batched ") + name, ta, tb);
    batch.check_sizes = {{3, 4, 2, 2, 2}, {2, 1, 3, 3, 3}, {2, 2, 2, 1, 1}};
    batch.large_sizes = {{17, 9, 33, 3, 3}, {65, 64, 16, 20, 20}, {257, 260, 129, 2, 2}};
    if (!ta) batch.bench_sizes = {tb ? Sizes{128, 128, 64, 96, 96} : Sizes{128, 64, 128, 96, 96}};
    table.push_back(batch);

    OpCase shared = matmul_case(std::string("batched ") + name + ", one b for all", ta, tb);
    shared.check_sizes = {{3, 4, 2, 2, 0}, {2, 1, 3, 3, 0}, {2, 2, 2, 1, 0}};
    shared.large_sizes = {{17, 9, 33, 3, 0}, {129, 67, 65, 9, 0}};
    table.push_back(shared);
  }

  // Sizes {T, in, out, batch}; no leading axis before T where batch is 0.
  OpCase e;
  e.name = "linear";
  e.check_sizes = {{3, 4, 5, 0}, {1, 1, 1, 0}, {2, 3, 2, 2}, {2, 0, 3, 0}, {0, 2, 3, 0}, {65, 1, 2, 0}};
  e.large_sizes = {{65, 129, 513, 0}, {9, 17, 5, 3}, {257, 129, 131, 0}};
  e.bench_sizes = {{1024, 768, 2304, 0},
                   {1024, 768, 768, 0},
                   {1024, 768, 3072, 0},
                   {1024, 3072, 768, 0},
                   {154, 768, 30522, 0}};
  e.inputs = [](const Sizes& s) {
    return std::vector<Input>{{batched(s[3], s[0], s[1], false)},
                              {.shape = {s[2], s[1]}, .is_parameter = true},
                              {.shape = {s[2]}, .is_parameter = true}};
  };
  e.op = [](const std::vector<Tensor>& in, const Sizes&) { return linear(in[0], in[1], in[2]); };
  e.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    int64_t rows = s[0] * std::max<int64_t>(1, s[3]), width = s[1], out = s[2];
    std::vector<T> y;
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t o = 0; o < out; ++o) {
        T sum = in.size() > 2 ? in[2][o] : 0;
        for (int64_t i = 0; i < width; ++i) sum += in[0][t * width + i] * in[1][o * width + i];
        y.push_back(sum);
      }
    }
    return y;
  });
  e.flops = [](const Sizes& s) { return 2.0 * s[0] * s[1] * s[2] * std::max<int64_t>(1, s[3]); };
  e.errors = {{"width",
               [] {
                 linear(zeros({4, 3}), zeros({5, 2}));
               },
               "[linear] x must be [..., in]: x is [4, 3], W is [5, 2]"},
              {"W of one axis",
               [] {
                 linear(zeros({4, 3}), zeros({3}));
               },
               "[linear] W must be [out, in], got [3]"},
              {"scalar x",
               [] {
                 linear(zeros({}), zeros({3, 1}));
               },
               "[linear] x must be [..., in]: x is []"},
              {"bias",
               [] {
                 linear(zeros({4, 3}), zeros({5, 3}), zeros({3}));
               },
               "[linear] b must be [out]: b is [3], W is [5, 3]"},
              {"types",
               [] {
                 linear(zeros({4, 3}), zeros({5, 3}), zeros({5}, DType::f64));
               },
               "[linear] W and b must be f32 where x is f32: W is f32, b is f64"},
              {"no value",
               [] {
                 linear(Tensor(), zeros({5, 3}));
               },
               "[linear] needs an input and a weight with values"}};
  table.push_back(e);

  OpCase without = e;
  without.name = "linear, no bias";
  without.bench_sizes = {};
  without.errors = {};
  without.inputs = [](const Sizes& s) {
    return std::vector<Input>{{batched(s[3], s[0], s[1], false)},
                              {.shape = {s[2], s[1]}, .is_parameter = true}};
  };
  without.op = [](const std::vector<Tensor>& in, const Sizes&) { return linear(in[0], in[1]); };
  table.push_back(without);

  for (InputFunction f : {InputFunction::gelu, InputFunction::gelu_tanh}) {
    OpCase of = e;
    of.name = f == InputFunction::gelu ? "linear of gelu" : "linear of gelu_tanh";
    of.bench_sizes = {};
    of.errors = {};
    of.rounded_between = 1;  // f(x), which the product takes, and dy W, before f'(x) multiplies it
    of.op = [f](const std::vector<Tensor>& in, const Sizes&) { return linear(in[0], in[1], in[2], f); };
    of.loops([f, linear = e]<class T>(Values<T> in, const Sizes& s) {
      for (T& x : in[0])
        x = x == -INFINITY             ? T(0)  // the limit
            : f == InputFunction::gelu ? x / 2 * std::erfc(-x / std::sqrt(T(2)))
                                       : x / 2 *
                                             (1 + std::tanh(std::sqrt(T(2) / std::numbers::pi_v<T>) *
                                                            (x + T(0.044715) * x * x * x)));
      if constexpr (std::is_same_v<T, double>)
        return linear.plain(in, s);
      else
        return linear.plain_f32(in, s);
    });
    table.push_back(of);
  }
}

}  // namespace bertie
