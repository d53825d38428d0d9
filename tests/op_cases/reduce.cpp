#include "bertie/ops/reduce.h"

#include <algorithm>
#include <cmath>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// Of each element of x [a, b, c] in turn: which element of the result it belongs to.
std::vector<int64_t> groups(const Sizes& s, const std::vector<int>& axes) {
  std::vector<int64_t> result;
  auto reduced = [&](int axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); };
  for (int64_t i = 0; i < s[0]; ++i)
    for (int64_t j = 0; j < s[1]; ++j)
      for (int64_t k = 0; k < s[2]; ++k) {
        int64_t group = reduced(0) ? 0 : i;
        if (!reduced(1)) group = group * s[1] + j;
        if (!reduced(2)) group = group * s[2] + k;
        result.push_back(group);
      }
  return result;
}

struct Axes {
  const char* name;
  std::vector<int> given, counted;  // as the operation gets them, and from 0
  bool kept;
};

// Sizes {a, b, c}: x is [a, b, c].
OpCase reduce(const std::string& name, Tensor (*op)(const Tensor&, const ReduceOptions&), const Axes& axes) {
  OpCase e;
  e.name = name + ", " + axes.name;
  e.check_sizes = {{2, 3, 4}, {1, 5, 1}, {3, 1, 2}, {1, 1, 4}, {1, 1, 1}};
  // In turn many columns, rows (blocks of 64 are added by halves) and columns to be added (of 4096 and more).
  e.large_sizes = {{2, 67, 257}, {300, 5, 16}, {2, 300, 16}, {5, 3, 4099}};
  e.op = [=](const std::vector<Tensor>& in, const Sizes&) { return op(in[0], {axes.given, axes.kept}); };
  e.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1], s[2]}}}; };
  e.bytes = [](const Sizes& s) { return 4.0 * static_cast<double>(s[0] * s[1] * s[2]); };
  e.backward_bytes = [](const Sizes& s) { return 8.0 * static_cast<double>(s[0] * s[1] * s[2]); };
  e.one_task = axes.counted.size() == 3;  // the last sum has one result
  return e;
}

const std::vector<Sizes> bench_sizes = {{128, 128, 768}};

}  // namespace

void add_reduce_cases(std::vector<OpCase>& table) {
  for (const Axes& axes : {Axes{"all axes", {}, {0, 1, 2}, false},
                           {"first axis", {0}, {0}, true},
                           {"middle axis", {1}, {1}, false},
                           {"last axis", {-1}, {2}, false},
                           {"first two axes", {0, 1}, {0, 1}, false},
                           {"last two axes", {2, -2}, {1, 2}, true},
                           {"first and last axis, kept", {0, -1}, {0, 2}, true}}) {
    std::vector<int> counted = axes.counted;
    OpCase e = reduce("sum", sum, axes);
    e.loops([=]<class T>(const Values<T>& in, const Sizes& s) {
      std::vector<int64_t> group = groups(s, counted);
      std::vector<T> y(group.empty() ? 0 : group.back() + 1);
      for (size_t i = 0; i < group.size(); ++i) y[group[i]] += in[0][i];
      return y;
    });
    if (counted.size() == 3) {
      e.bench_sizes = bench_sizes;
      e.errors = {
          {"axis out of range",
           [] {
             sum(Array::zeros({2, 3}, DType::f32), {{2}});
           },
           "axis 2 is out of range"},
          {"axis twice",
           [] {
             sum(Array::zeros({2, 3}, DType::f32), {{0, -2}});
           },
           "[sum] axis -2 is given twice"},
          {"integers", [] { sum(Array::zeros({2}, DType::i32)); }, "[sum] takes f32, f64 or bf16, got i32"}};
    }
    if (counted == std::vector<int>{0, 2}) e.bench_sizes = bench_sizes;
    table.push_back(e);

    e = reduce("mean", mean, axes);
    e.loops([=]<class T>(const Values<T>& in, const Sizes& s) {
      std::vector<int64_t> group = groups(s, counted);
      T count = 1;
      for (int axis : counted) count *= T(s[axis]);
      std::vector<T> y(group.back() + 1);
      for (size_t i = 0; i < group.size(); ++i) y[group[i]] += in[0][i] / count;
      return y;
    });
    if (counted == std::vector<int>{1}) {
      e.bench_sizes = bench_sizes;
      e.errors = {{"nothing",
                   [] {
                     mean(Array::zeros({2, 0}, DType::f32), {{1}});
                   },
                   "[mean] there is nothing to average"}};
    }
    table.push_back(e);

    e = reduce("log_sum_exp", log_sum_exp, axes);
    e.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1], s[2]}, -4, 4}}; };
    e.backward_bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * s[1] * s[2]); };
    e.loops([=]<class T>(const Values<T>& in, const Sizes& s) {
      std::vector<int64_t> group = groups(s, counted);
      std::vector<T> largest(group.back() + 1, T(-INFINITY)), y(largest.size());
      for (size_t i = 0; i < group.size(); ++i) largest[group[i]] = std::max(largest[group[i]], in[0][i]);
      for (size_t i = 0; i < group.size(); ++i)
        if (in[0][i] != -INFINITY) y[group[i]] += std::exp(in[0][i] - largest[group[i]]);
      for (size_t i = 0; i < y.size(); ++i) y[i] = largest[i] + std::log(y[i]);
      return y;
    });
    if (counted == std::vector<int>{2}) {
      e.bench_sizes = bench_sizes;
      e.errors = {{"axis twice",
                   [] {
                     log_sum_exp(Array::zeros({2, 3}, DType::f32), {{1, -1}});
                   },
                   "[log_sum_exp] axis -1 is given twice"},
                  {"integers", [] { log_sum_exp(Array::zeros({2}, DType::i32)); },
                   "[log_sum_exp] takes f32, f64 or bf16, got i32"}};
    }
    table.push_back(e);

    e = reduce("max", max, axes);
    e.inputs = [](const Sizes& s) {  // no two as close as the steps of the differences
      double range = 0.01 * static_cast<double>(s[0] * s[1] * s[2]);
      return std::vector<Input>{{.shape = {s[0], s[1], s[2]}, .low = -range, .high = range, .spaced = true}};
    };
    e.loops([=]<class T>(const Values<T>& in, const Sizes& s) {
      std::vector<int64_t> group = groups(s, counted);
      std::vector<T> y(group.back() + 1, T(-INFINITY));
      for (size_t i = 0; i < group.size(); ++i)  // NaN counts as the largest
        if (!(in[0][i] <= y[group[i]]) && !std::isnan(y[group[i]])) y[group[i]] = in[0][i];
      return y;
    });
    if (counted == std::vector<int>{2}) {
      e.bench_sizes = bench_sizes;
      e.errors = {
          {"nothing", [] { max(Array::zeros({0}, DType::f32)); }, "[max] there is no maximum of nothing"},
          {"argmax of nothing",
           [] {
             argmax(Array::zeros({3, 0}, DType::f32));
           },
           "[argmax] there is no maximum"}};
    }
    table.push_back(e);
  }
}

}  // namespace bertie
