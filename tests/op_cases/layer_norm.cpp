#include "bertie/ops/layer_norm.h"

#include <cmath>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

Tensor zeros(const Shape& shape, DType type = DType::f32) { return Array::zeros(shape, type); }

}  // namespace

void add_layer_norm_cases(std::vector<OpCase>& table) {
  OpCase c;  // {T, H}
  c.name = "layer_norm";
  c.check_sizes = {{3, 5}, {1, 7}, {70, 5}, {0, 4}};
  c.large_sizes = {{3, 33}, {130, 100}, {2, 768}, {4161, 129}};
  c.bench_sizes = {{16384, 768}};
  c.inputs = [](const Sizes& s) {
    return std::vector<Input>{{{s[0], s[1]}, -1, 3},
                              {.shape = {s[1]}, .low = 0.5, .high = 1.5, .is_parameter = true},
                              {.shape = {s[1]}, .is_parameter = true}};
  };
  c.op = [](const std::vector<Tensor>& in, const Sizes&) { return layer_norm(in[0], in[1], in[2], 1e-3); };
  c.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t t = 0; t < s[0]; ++t) {
      const T* x = in[0].data() + t * s[1];
      T mean = 0, rest = 0, variance = 0;  // the mean is mean + rest: what a large one was rounded by
      for (int64_t i = 0; i < s[1]; ++i) mean += x[i] / T(s[1]);
      for (int64_t i = 0; i < s[1]; ++i) rest += (x[i] - mean) / T(s[1]);
      auto centered = [&](int64_t i) { return (x[i] - mean) - rest; };
      for (int64_t i = 0; i < s[1]; ++i) variance += centered(i) * centered(i) / T(s[1]);
      for (int64_t i = 0; i < s[1]; ++i)
        y.push_back(centered(i) / std::sqrt(variance + T(1e-3)) * in[1][i] + in[2][i]);
    }
    return y;
  });
  c.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * s[1]); };
  c.backward_bytes = [](const Sizes& s) { return 16.0 * static_cast<double>(s[0] * s[1]); };
  c.errors = {{"weight",
               [] {
                 layer_norm(zeros({2, 3}), zeros({2}), zeros({3}), 1e-5);
               },
               "[layer_norm] weight and bias must be f32 [3], like the rows of f32 x: got f32 [2]"},
              {"bias",
               [] {
                 layer_norm(zeros({2, 3}), zeros({3}), zeros({3}, DType::f64), 1e-5);
               },
               "got f64 [3]"},
              {"empty rows",
               [] {
                 layer_norm(zeros({2, 0}), zeros({0}), zeros({0}), 1e-5);
               },
               "[layer_norm] needs at least one element per row, got [2, 0]"},
              {"epsilon",
               [] {
                 layer_norm(zeros({2, 3}), zeros({3}), zeros({3}), -1);
               },
               "[layer_norm] epsilon can't be negative: -1"}};
  table.push_back(c);
}

}  // namespace bertie
