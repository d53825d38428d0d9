#include "bertie/ops/reduce.h"

#include <algorithm>

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// x is [a, b, c]; calls visit(i, j, k, value).
template <class T, class Visit>
void for_each_of_three(const std::vector<T>& x, const Sizes& s, Visit visit) {
  for (int64_t i = 0; i < s[0]; ++i)
    for (int64_t j = 0; j < s[1]; ++j)
      for (int64_t k = 0; k < s[2]; ++k) visit(i, j, k, x[(i * s[1] + j) * s[2] + k]);
}

std::vector<Input> three_axes(const Sizes& s) { return {{{s[0], s[1], s[2]}}}; }
double bytes_read(const Sizes& s) { return 4.0 * static_cast<double>(s[0] * s[1] * s[2]); }
double bytes_written(const Sizes& s) { return 2 * bytes_read(s); }

const std::vector<Sizes> check_sizes = {{2, 3, 4}, {1, 5, 1}, {3, 1, 2}};
const std::vector<Sizes> tile_sizes = {{3, 37, 257}, {2, 300, 16}};
const std::vector<Sizes> bench_sizes = {{128, 128, 768}};

}  // namespace

void add_reduce_cases(std::vector<OpCase>& table) {
  OpCase all;
  all.name = "sum, all axes";
  all.check_sizes = check_sizes;
  all.tile_sizes = tile_sizes;
  all.bench_sizes = bench_sizes;
  all.bytes = bytes_read;
  all.backward_bytes = bytes_written;
  all.inputs = three_axes;
  all.op = [](const std::vector<Tensor>& in, const Sizes&) { return sum(in[0]); };
  all.loops([]<class T>(const Values<T>& in, const Sizes&) {
    T total = 0;
    for (T value : in[0]) total += value;
    return std::vector<T>{total};
  });
  all.errors = {
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
      {"integers", [] { sum(Array::zeros({2}, DType::i32)); }, "[sum] computes in f32 or f64, got i32"}};
  table.push_back(all);

  OpCase outer = all;
  outer.name = "sum, first and last axis, kept";
  outer.bench_sizes = bench_sizes;
  outer.bytes = bytes_read;
  outer.errors = {};
  outer.op = [](const std::vector<Tensor>& in, const Sizes&) { return sum(in[0], {{0, -1}, true}); };
  outer.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y(s[1]);
    for_each_of_three(in[0], s, [&](int64_t, int64_t j, int64_t, T value) { y[j] += value; });
    return y;
  });
  table.push_back(outer);

  OpCase middle = all;
  middle.name = "mean, middle axis";
  middle.bench_sizes = bench_sizes;
  middle.bytes = bytes_read;
  middle.op = [](const std::vector<Tensor>& in, const Sizes&) { return mean(in[0], {{1}}); };
  middle.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y(s[0] * s[2]);
    for_each_of_three(in[0], s,
                      [&](int64_t i, int64_t, int64_t k, T value) { y[i * s[2] + k] += value / T(s[1]); });
    return y;
  });
  middle.errors = {{"nothing",
                    [] {
                      mean(Array::zeros({2, 0}, DType::f32), {{1}});
                    },
                    "[mean] there is nothing to average"}};
  table.push_back(middle);

  OpCase last = all;
  last.name = "max, last axis";
  last.op = [](const std::vector<Tensor>& in, const Sizes&) { return max(in[0], {{-1}}); };
  last.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y(s[0] * s[1], T(-100));
    for_each_of_three(in[0], s, [&](int64_t i, int64_t j, int64_t, T value) {
      y[i * s[1] + j] = std::max(y[i * s[1] + j], value);
    });
    return y;
  });
  last.errors = {
      {"nothing", [] { max(Array::zeros({0}, DType::f32)); }, "[max] there is no maximum of nothing"},
      {"argmax of nothing",
       [] {
         argmax(Array::zeros({3, 0}, DType::f32));
       },
       "[argmax] there is no maximum"}};
  table.push_back(last);
}

}  // namespace bertie
