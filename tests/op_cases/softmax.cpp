#include "bertie/ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// {T, n}
template <class T>
std::vector<T> plain_softmax(const std::vector<T>& x, const Sizes& s, bool logarithm) {
  std::vector<T> y;
  for (int64_t t = 0; t < s[0]; ++t) {
    const T largest = *std::max_element(x.begin() + t * s[1], x.begin() + (t + 1) * s[1]);
    T sum = 0;
    for (int64_t i = 0; i < s[1]; ++i) sum += std::exp(x[t * s[1] + i] - largest);
    for (int64_t i = 0; i < s[1]; ++i) {
      T value = x[t * s[1] + i] - largest;
      y.push_back(logarithm ? value - std::log(sum) : std::exp(value) / sum);
    }
  }
  return y;
}

OpCase rows(const std::string& name, Tensor (*op)(const Tensor&)) {
  OpCase c;
  c.name = name;
  c.check_sizes = {{3, 5}, {2, 1}, {1, 9}, {0, 3}};
  c.large_sizes = {{3, 33}, {5, 257}, {2, 1000}, {67, 257}};
  c.bench_sizes = {{98304, 128}};
  c.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}, -4, 4}}; };
  c.op = [op](const std::vector<Tensor>& in, const Sizes&) { return op(in[0]); };
  c.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * s[1]); };
  c.backward_bytes = [](const Sizes& s) { return 16.0 * static_cast<double>(s[0] * s[1]); };
  c.errors = {
      {"empty rows",
       [op] {
         op(Array::zeros({3, 0}, DType::f32));
       },
       "[" + name + "] needs at least one element per row, got [3, 0]"},
      {"scalar", [op] { op(Array::zeros({}, DType::f32)); }, "needs at least one element per row, got []"},
      {"integers", [op] { op(Array::zeros({3}, DType::i64)); }, "[" + name + "] takes f32, f64 or bf16"}};
  return c;
}

}  // namespace

void add_softmax_cases(std::vector<OpCase>& table) {
  OpCase s = rows("softmax", softmax);
  s.loops(
      []<class T>(const Values<T>& in, const Sizes& sizes) { return plain_softmax(in[0], sizes, false); });
  table.push_back(s);
  OpCase l = rows("log_softmax", log_softmax);
  l.loops([]<class T>(const Values<T>& in, const Sizes& sizes) { return plain_softmax(in[0], sizes, true); });
  table.push_back(l);
}

}  // namespace bertie
