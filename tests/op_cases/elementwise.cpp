#include "bertie/ops/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// {T, C}: y [T, C] of x [T, C], each element by a function of its own type.
template <class F>
OpCase unary(const std::string& name, Tensor (*op)(const Tensor&), double low, double high, F f) {
  OpCase c;
  c.name = name;
  c.check_sizes = {{3, 5}, {1, 1}, {0, 4}};
  c.large_sizes = {{3, 67}, {1, 17}, {131, 257}};
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
  c.errors = {{"integers", [op] { op(Array::zeros({2}, DType::i32)); }, "takes f32, f64 or bf16, got i32"},
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

// For each element of `whole`, its place in `part`, which is broadcast to it.
std::vector<int64_t> places_in(const Shape& part, const Shape& whole) {
  std::vector<int64_t> places{0};
  int64_t stride = 1;
  for (int axis = 1; axis <= whole.rank(); ++axis) {
    int64_t extent = axis <= part.rank() ? part[-axis] : 1;
    std::vector<int64_t> inner = std::move(places);
    places.clear();
    for (int64_t i = 0; i < whole[-axis]; ++i)
      for (int64_t place : inner) places.push_back(place + (extent > 1 ? i * stride : 0));
    stride *= extent;
  }
  return places;
}

template <class F>
OpCase binary(const std::string& name, Tensor (*op)(const Tensor&, const Tensor&), F f) {
  OpCase c;
  c.name = name;
  for (int64_t kind = 0; kind < 11; ++kind) {
    c.check_sizes.push_back({3, 4, kind});
    c.large_sizes.push_back({kind < 8 ? 131 : kind < 10 ? 67 : 31, 257, kind});
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
    std::vector<int64_t> of_a = places_in(a, shape), of_b = places_in(b, shape);
    std::vector<T> y;
    for (size_t i = 0; i < of_a.size(); ++i) y.push_back(f(in[0][of_a[i]], in[1][of_b[i]]));
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

// {T, C, kind}: the shapes of condition, a and b, which broadcast to [T, C].
std::array<Shape, 3> selection_shapes(const Sizes& s) {
  Shape all{s[0], s[1]}, row{s[1]}, column{s[0], 1}, one{}, flat{1, s[1]};
  std::array<Shape, 3> kinds[] = {
      {all, all, all}, {row, all, one}, {column, flat, column}, {all, column, row}, {one, row, all}};
  return kinds[s[2]];
}
bool chosen(int64_t index) { return index * 2654435761 >> 13 & 1; }
Array condition(const Shape& shape) {
  Array c = Array::empty(shape, DType::boolean);
  for (int64_t i = 0; i < c.size(); ++i) c.mutable_data<bool>()[i] = chosen(i);
  return c;
}

void add_selection_cases(std::vector<OpCase>& table) {
  auto zeros = [](const Shape& shape, DType type = DType::f32) { return Tensor(Array::zeros(shape, type)); };
  OpCase w;
  w.name = "where";
  w.check_sizes = {{3, 4, 0}, {3, 4, 1}, {3, 4, 2}, {3, 4, 3}, {3, 4, 4}, {1, 1, 0}, {1, 5, 3}, {0, 3, 0}};
  w.large_sizes = {{130, 257, 0}, {130, 257, 1}, {130, 257, 2}, {130, 257, 3}, {130, 257, 4}, {5, 67, 0}};
  w.bench_sizes = {{16384, 768, 0}};
  w.inputs = [](const Sizes& s) {
    return std::vector<Input>{{selection_shapes(s)[1]}, {selection_shapes(s)[2]}};
  };
  w.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return where(condition(selection_shapes(s)[0]), in[0], in[1]);
  };
  w.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    Shape whole{s[0], s[1]};
    std::vector<int64_t> places[3];
    for (size_t i = 0; i < 3; ++i) places[i] = places_in(selection_shapes(s)[i], whole);
    std::vector<T> y;
    for (int64_t i = 0; i < whole.size(); ++i)
      y.push_back(chosen(places[0][i]) ? in[0][places[1][i]] : in[1][places[2][i]]);
    return y;
  });
  w.bytes = [](const Sizes& s) { return 17.0 * static_cast<double>(s[0] * s[1]); };
  w.backward_bytes = [](const Sizes& s) { return 21.0 * static_cast<double>(s[0] * s[1]); };
  w.errors = {
      {"shapes",
       [=] {
         where(condition({2}), zeros({2, 3}), zeros({2, 3}));
       },
       "[where] shapes must agree or be 1 at each axis: a is [2, 3], b is [2]"},
      {"numbers for a condition", [=] { where(Array::zeros({2}, DType::i32), zeros({2}), zeros({2})); },
       "[where] the condition must be booleans"},
      {"no condition", [=] { where(Array(), zeros({2}), zeros({2})); }, "[where] the condition"},
      {"types", [=] { where(condition({2}), zeros({2}), zeros({2}, DType::f64)); },
       "[where] both must have one type"},
      {"no value", [=] { where(condition({2}), zeros({2}), Tensor()); }, "[where] an operand has no value"}};
  table.push_back(w);

  OpCase m = w;  // kinds: the mask's shape
  m.name = "masked_fill";
  m.check_sizes = {{3, 4, 0}, {3, 4, 1}, {3, 4, 2}, {0, 3, 0}};
  m.large_sizes = {{130, 257, 0}, {130, 257, 1}, {130, 257, 2}};
  m.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}}}; };
  m.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return masked_fill(in[0], condition(selection_shapes(s)[0]), -3.5);
  };
  m.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<int64_t> places = places_in(selection_shapes(s)[0], {s[0], s[1]});
    std::vector<T> y;
    for (size_t i = 0; i < in[0].size(); ++i) y.push_back(chosen(places[i]) ? T(-3.5) : in[0][i]);
    return y;
  });
  m.bytes = [](const Sizes& s) { return 13.0 * static_cast<double>(s[0] * s[1]); };
  m.backward_bytes = m.bytes;
  m.errors = {{"no value", [=] { masked_fill(Tensor(), condition({2}), 0); },
               "[masked_fill] needs a tensor with a value"}};
  table.push_back(m);
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
  OpCase r = unary("relu", relu, -2, 2, [](auto x) { return x < 0 ? 0 : x; });  // NaN stays
  r.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}, -2, 2, 0.05}}; };
  table.push_back(r);
  OpCase absolute = unary("abs", bertie::abs, -2, 2, [](auto x) { return std::abs(x); });
  absolute.inputs = r.inputs;
  table.push_back(absolute);
  table.push_back(unary("softplus", softplus, -6, 6, [](auto x) {
    return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  }));
  table.push_back(unary("silu", silu, -6, 6, [](auto x) {
    return x == -INFINITY ? 0 : x / (1 + std::exp(-x));  // the limit; −∞ / ∞ would be NaN
  }));
  for (auto [name, exponent, low] :
       {std::tuple{"pow, 2", 2.0, -2.0}, {"pow, 3", 3.0, -2.0}, {"pow, -1.5", -1.5, 0.3}}) {
    OpCase p = unary(name, negate, low, 2, [p = exponent](auto x) { return std::pow(x, decltype(x)(p)); });
    p.op = [p = exponent](const std::vector<Tensor>& in, const Sizes&) { return pow(in[0], p); };
    p.errors = {{"integers", [] { pow(Array::zeros({2}, DType::i32), 2); }, "[pow] takes f32, f64 or bf16"},
                {"no value", [] { pow(Tensor(), 2); }, "[pow] needs a tensor with a value"}};
    table.push_back(p);
  }
  // One kink, at 0, in each: elementwise_test.cpp has both bounds at once.
  for (bool lower : {true, false}) {
    OpCase c = r;
    c.name = lower ? "clamp from below" : "clamp from above";
    c.op = [lower](const std::vector<Tensor>& in, const Sizes&) {
      return lower ? clamp(in[0], 0, 3) : clamp(in[0], -3, 0);
    };
    c.loops([lower]<class T>(const Values<T>& in, const Sizes&) {
      std::vector<T> y;
      for (T x : in[0]) y.push_back(lower ? std::clamp(x, T(0), T(3)) : std::clamp(x, T(-3), T(0)));
      return y;
    });
    c.errors = {
        {"bounds", [] { clamp(Array::zeros({2}, DType::f32), 1, 0); },
         "[clamp] the lower bound must not be above the upper one: 1 … 0"},
        {"no bound", [] { clamp(Array::zeros({2}, DType::f32), NAN, 0); }, "[clamp] the lower bound"},
        {"integers", [] { clamp(Array::zeros({2}, DType::i32), 0, 1); }, "[clamp] takes f32, f64 or bf16"},
        {"no value", [] { clamp(Tensor(), 0, 1); }, "[clamp] needs a tensor with a value"}};
    table.push_back(c);
  }
  OpCase n = unary("numbers on the left", negate, -2, 2, [](auto x) {
    using T = decltype(x);
    return T(2) / (T(5) + x) + (T(1) - x) * (T(3) * -x);
  });
  n.large_sizes = {{263, 257}};  // the engine adds gradients, in larger tasks
  n.bench_sizes = {};            // several operations
  n.rounded_between = 4;         // the result of each
  n.op = [](const std::vector<Tensor>& in, const Sizes&) {
    const Tensor& x = in[0];
    return 2 / (5 + x) + (1 - x) * (3 * -x);
  };
  n.errors = {{"divisor", [] { 1 / Tensor(); }, "[divide] needs a tensor with a value"}};
  table.push_back(n);
  add_selection_cases(table);
  table.push_back(unary("gelu", gelu, -4, 4, [](auto x) {
    using T = decltype(x);
    return x == -INFINITY ? T(0) : x * T(0.5) * (1 + std::erf(x * T(M_SQRT1_2)));
  }));
  table.push_back(unary("gelu_tanh", gelu_tanh, -4, 4, [](auto x) {
    using T = decltype(x);
    if (x == -INFINITY) return T(0);
    return T(0.5) * x * (1 + std::tanh(std::sqrt(T(2 / M_PI)) * (x + T(0.044715) * x * x * x)));
  }));
}

}  // namespace bertie
