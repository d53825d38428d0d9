#include "bertie/ops/loss.h"

#include <algorithm>
#include <cmath>

#include "bertie/ops/elementwise.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// {T, V}: every fourth row ignored, but of the benchmark's many none, as in training.
std::vector<int32_t> labels(const Sizes& s) {
  std::vector<int32_t> result;
  for (int64_t t = 0; t < s[0]; ++t)
    result.push_back(t % 4 == 3 && s[0] < 100 ? -100 : static_cast<int32_t>(t * 5 % s[1]));
  return result;
}

template <class T>
std::vector<T> plain_cross_entropy(const std::vector<T>& z, const Sizes& s, T smoothing, T denominator) {
  std::vector<int32_t> targets = labels(s);
  T loss = 0, scored = 0;
  for (int64_t t = 0; t < s[0]; ++t) {
    if (targets[t] < 0) continue;
    ++scored;
    const T* row = z.data() + t * s[1];
    T largest = *std::max_element(row, row + s[1]), sum = 0;
    for (int64_t c = 0; c < s[1]; ++c) sum += std::exp(row[c] - largest);
    for (int64_t c = 0; c < s[1]; ++c) {
      T target = smoothing / T(s[1]) + (c == targets[t] ? 1 - smoothing : T(0));
      if (target > 0) loss -= target * ((row[c] - largest) - std::log(sum));  // 0 · −∞ would be NaN
    }
  }
  return {loss / (denominator > 0 ? denominator : scored)};
}

Tensor zeros(const Shape& shape) { return Array::zeros(shape, DType::f32); }

}  // namespace

void add_loss_cases(std::vector<OpCase>& table) {
  OpCase e;
  e.name = "cross_entropy";
  e.check_sizes = {{5, 4}, {1, 7}, {2, 1}};
  e.large_sizes = {{9, 257}, {23, 1543}, {97, 131}};
  e.bench_sizes = {{614, 30522}};
  e.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}, -3, 3}}; };
  e.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return cross_entropy(in[0], Array::from(labels(s)));
  };
  e.loops(
      []<class T>(const Values<T>& in, const Sizes& s) { return plain_cross_entropy<T>(in[0], s, 0, 0); });
  e.bytes = [](const Sizes& s) { return 4.0 * static_cast<double>(s[0] * s[1]); };
  e.backward_bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * s[1]); };
  e.errors = {{"label too large",
               [] {
                 cross_entropy(zeros({2, 3}), Array::from(std::vector<int32_t>{0, 3}));
               },
               "[cross_entropy] labels must be in 0 … 2 or -100 (ignored): label 3 in row 1"},
              {"other number of rows",
               [] {
                 cross_entropy(zeros({2, 3}), Array::zeros({3}, DType::i32));
               },
               "[cross_entropy] labels must be [2] of i32 or i64, got i32 [3]"},
              {"float labels",
               [] {
                 cross_entropy(zeros({2, 3}), Array::zeros({2}, DType::f32));
               },
               "got f32 [2]"},
              {"all ignored",
               [] {
                 cross_entropy(zeros({1, 3}), Array::from(std::vector<int32_t>{-100}));
               },
               "[cross_entropy] all 1 rows are ignored"},
              {"smoothing",
               [] {
                 cross_entropy(zeros({1, 3}), Array::zeros({1}, DType::i32), {0, 1.5});
               },
               "[cross_entropy] label_smoothing must be in 0 … 1, got 1.5"},
              {"one axis", [] { cross_entropy(zeros({3}), Array::zeros({1}, DType::i32)); },
               "logits must be [T, V]"}};
  table.push_back(e);

  // Of logits that nobody else holds the gradient takes the place.
  OpCase in_place = e;
  in_place.name = "cross_entropy, in place";
  in_place.bench_sizes = {};
  in_place.errors = {};
  in_place.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return cross_entropy(scale(in[0], 1), Array::from(labels(s)));
  };
  table.push_back(in_place);

  OpCase smooth = e;
  smooth.name = "cross_entropy, label smoothing, given denominator";
  smooth.bench_sizes = {};
  smooth.errors = {};
  smooth.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return cross_entropy(in[0], Array::from(labels(s)), {10, 0.1});
  };
  smooth.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    return plain_cross_entropy<T>(in[0], s, T(0.1), 10);
  });
  table.push_back(smooth);

  OpCase m;
  m.name = "mean_squared_error";
  m.check_sizes = {{3, 4}, {1, 1}};
  m.large_sizes = {{9, 257}, {131, 257}};
  m.bench_sizes = {{16384, 768}};
  m.bytes = [](const Sizes& s) { return 8.0 * static_cast<double>(s[0] * s[1]); };
  m.backward_bytes = [](const Sizes& s) { return 24.0 * static_cast<double>(s[0] * s[1]); };
  m.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}}, {{s[0], s[1]}}}; };
  m.op = [](const std::vector<Tensor>& in, const Sizes&) { return mean_squared_error(in[0], in[1]); };
  m.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    T sum = 0;
    for (size_t i = 0; i < in[0].size(); ++i) sum += (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
    return std::vector<T>{sum / T(s[0] * s[1])};
  });
  m.errors = {{"shapes", [] { mean_squared_error(zeros({2}), zeros({3})); },
               "[mean_squared_error] both must agree: f32 [2]"},
              {"nothing", [] { mean_squared_error(zeros({0}), zeros({0})); }, "there is nothing to average"}};
  table.push_back(m);
}

}  // namespace bertie
