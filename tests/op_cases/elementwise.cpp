#include "bertie/ops/elementwise.h"

#include <cmath>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// {T, C}: y [T, C] of x [T, C], each element by a function of its own type.
template <class F>
OpCase unary(const std::string& name, Tensor (*op)(const Tensor&), double low, double high, F f) {
  OpCase c;
  c.name = name;
  c.check_sizes = {{3, 5}, {1, 1}, {0, 4}};
  c.large_sizes = {{3, 67}, {1, 17}, {263, 257}};
  c.bench_sizes = {{4096, 3072}};
  c.inputs = [low, high](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}, low, high}}; };
  c.op = [op](const std::vector<Tensor>& in, const Sizes&) { return op(in[0]); };
  c.loops([f]<class T>(const Values<T>& in, const Sizes&) {
    std::vector<T> y;
    for (T x : in[0]) y.push_back(f(x));
    return y;
  });
  c.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * s[1]); };
  // x or y, and dy
  c.backward_bytes = [](const Sizes& s) { return 16.0 * static_cast<double>(s[0] * s[1]); };
  c.errors = {{"integers", [op] { op(Array::zeros({2}, DType::i32)); }, "computes in f32 or f64, got i32"},
              {"no value", [op] { op(Tensor()); }, "x has no value"}};
  return c;
}

struct Operands {
  Shape a, b;
};

// {T, C, kind}: what is broadcast against what.
Operands operands(const Sizes& s) {
  int64_t T = s[0], C = s[1];
  Operands kinds[] = {{{T, C}, {T, C}},
                      {{T, C}, {C}},
                      {{T, C}, {T, 1}},
                      {{T, C}, {}},
                      {{T, 1}, {1, C}},
                      {{C}, {T, C}},
                      {{}, {T, C}},
                      {{T, 1}, {T, C}},
                      {{T, 3, C}, {T, 1, C}},
                      {{1, 3, C}, {T, 1, 1}},
                      {{3, T, 1, C}, {T, 2, 1}}};
  return kinds[s[2]];
}

// Of element `index` of `whole`, which `part` is broadcast to: its place in `part`.
int64_t place_in(const Shape& part, const Shape& whole, int64_t index) {
  int64_t place = 0, stride = 1;
  for (int axis = 1; axis <= whole.rank(); ++axis) {
    int64_t i = index % whole[-axis];
    index /= whole[-axis];
    if (axis > part.rank()) continue;
    if (part[-axis] > 1) place += i * stride;
    stride *= part[-axis];
  }
  return place;
}

template <class F>
OpCase binary(const std::string& name, Tensor (*op)(const Tensor&, const Tensor&), F f) {
  OpCase c;
  c.name = name;
  for (int64_t kind = 0; kind < 11; ++kind) {
    c.check_sizes.push_back({3, 4, kind});
    c.large_sizes.push_back(kind < 8 ? Sizes{263, 257, kind} : Sizes{131, 257, kind});
  }
  for (Sizes more : {Sizes{1, 1, 0}, {0, 3, 1}, {3, 0, 2}, {0, 2, 4}, {1, 5, 4}, {4, 1, 8}})
    c.check_sizes.push_back(more);
  c.large_sizes.push_back({5, 67, 0});
  c.bench_sizes = {{16384, 768, 0}, {16384, 768, 1}};
  c.inputs = [=](const Sizes& s) {
    // away from zero: b is a divisor
    return std::vector<Input>{{operands(s).a, -2, 2}, {operands(s).b, -2, 2, 0.5}};
  };
  c.op = [op](const std::vector<Tensor>& in, const Sizes&) { return op(in[0], in[1]); };
  c.loops([f]<class T>(const Values<T>& in, const Sizes& s) {
    auto [a, b] = operands(s);
    Shape shape = broadcast("test", a, b);
    std::vector<T> y;
    for (int64_t i = 0; i < shape.size(); ++i)
      y.push_back(f(in[0][place_in(a, shape, i)], in[1][place_in(b, shape, i)]));
    return y;
  });
  c.bytes = [](const Sizes& s) { return (s[2] == 0 ? 16.0 : 12.0) * static_cast<double>(s[0] * s[1]); };
  auto zeros = [](const Shape& shape, DType type = DType::f32) { return Tensor(Array::zeros(shape, type)); };
  c.errors = {{"shapes",
               [=] {
                 op(zeros({2, 3}), zeros({2}));
               },
               "[" + name + "] shapes must agree or be 1 at each axis: a is [2, 3], b is [2]"},
              {"types", [=] { op(zeros({2}), zeros({2}, DType::f64)); },
               "[" + name + "] both must have one type: f32 [2] and f64 [2]"},
              {"no value", [=] { op(zeros({2}), Tensor()); }, "[" + name + "] an operand has no value"}};
  return c;
}

}  // namespace

void add_elementwise_cases(std::vector<OpCase>& table) {
  // The bytes of a backward pass per element: with b as large as a, and with b [C].
  auto add_binary = [&](OpCase c, double same, double row) {
    c.backward_bytes = [=](const Sizes& s) {
      return (s[2] == 0 ? same : row) * static_cast<double>(s[0] * s[1]);
    };
    table.push_back(c);
  };
  add_binary(binary("add", add, [](auto a, auto b) { return a + b; }), 0, 4);
  add_binary(binary("subtract", subtract, [](auto a, auto b) { return a - b; }), 12, 4);
  add_binary(binary("multiply", multiply, [](auto a, auto b) { return a * b; }), 28, 16);
  add_binary(binary("divide", divide, [](auto a, auto b) { return a / b; }), 28, 16);

  auto add_linear = [&](OpCase c) {  // its backward pass reads dy only
    c.backward_bytes = c.bytes;
    table.push_back(c);
  };
  add_linear(unary("negate", negate, -2, 2, [](auto x) { return -x; }));
  OpCase s = unary("scale", negate, -2, 2, [](auto x) { return x * decltype(x)(1.5) + decltype(x)(0.25); });
  s.op = [](const std::vector<Tensor>& in, const Sizes&) { return scale(in[0], 1.5, 0.25); };
  s.errors = {};
  add_linear(s);
  table.push_back(unary("exp", bertie::exp, -5, 5, [](auto x) { return std::exp(x); }));
  table.push_back(unary("log", bertie::log, 0.2, 5, [](auto x) { return std::log(x); }));
  table.push_back(unary("sqrt", bertie::sqrt, 0.2, 5, [](auto x) { return std::sqrt(x); }));
  table.push_back(unary("tanh", bertie::tanh, -3, 3, [](auto x) { return std::tanh(x); }));
  table.push_back(unary("sigmoid", sigmoid, -4, 4, [](auto x) { return 1 / (1 + std::exp(-x)); }));
  OpCase r = unary("relu", relu, -2, 2, [](auto x) { return x > 0 ? x : 0; });
  r.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}, -2, 2, 0.05}}; };
  table.push_back(r);
  table.push_back(unary("gelu", gelu, -4, 4, [](auto x) {
    using T = decltype(x);
    return x * T(0.5) * (1 + std::erf(x * T(M_SQRT1_2)));
  }));
  table.push_back(unary("gelu_tanh", gelu_tanh, -4, 4, [](auto x) {
    using T = decltype(x);
    return T(0.5) * x * (1 + std::tanh(std::sqrt(T(2 / M_PI)) * (x + T(0.044715) * x * x * x)));
  }));
}

}  // namespace bertie
