#include "bertie/ops/layout.h"

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

Tensor zeros(const Shape& shape) { return Array::zeros(shape, DType::f32); }
std::vector<Input> three_axes(const Sizes& s) { return {{{s[0], s[1], s[2]}}}; }
Array every_other_row(int64_t rows) {
  std::vector<int32_t> index;
  for (int64_t i = 0; i < rows; ++i) index.push_back(static_cast<int32_t>(i / 2 * 2));  // 0 0 2 2 4 4 …
  return Array::from(index);
}

}  // namespace

void add_layout_cases(std::vector<OpCase>& table) {
  OpCase base;
  base.check_sizes = {{2, 3, 4}, {1, 5, 1}, {4, 1, 2}, {2, 0, 3}};
  base.large_sizes = {{5, 17, 33}, {37, 31, 67}};
  base.bench_sizes = {{128, 128, 768}};
  base.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * s[1] * s[2]); };
  base.backward_bytes = base.bytes;
  base.inputs = three_axes;

  OpCase r = base;
  r.name = "reshape";
  r.bench_sizes = {};  // moves nothing
  r.op = [](const std::vector<Tensor>& in, const Sizes& s) { return reshape(in[0], {-1, s[0]}); };
  r.loops([]<class T>(const Values<T>& in, const Sizes&) { return in[0]; });
  r.errors = {{"other size",
               [] {
                 reshape(zeros({2, 3}), {7});
               },
               "[reshape] the number of elements must stay"},
              {"two unknown",
               [] {
                 reshape(zeros({2, 3}), {-1, -1});
               },
               "[reshape] only one extent may be -1, got 2"},
              {"not divisible",
               [] {
                 reshape(zeros({2, 3}), {-1, 4});
               },
               "[reshape] 6 elements can't be divided"},
              {"negative",
               [] {
                 reshape(zeros({2, 3}), {-2, -3});
               },
               "[reshape] an extent can't be -2"}};
  table.push_back(r);

  OpCase t = base;
  t.name = "transpose";
  t.op = [](const std::vector<Tensor>& in, const Sizes&) { return transpose(in[0], {2, 0, 1}); };
  t.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t k = 0; k < s[2]; ++k)
      for (int64_t i = 0; i < s[0]; ++i)
        for (int64_t j = 0; j < s[1]; ++j) y.push_back(in[0][(i * s[1] + j) * s[2] + k]);
    return y;
  });
  t.errors = {{"too few axes",
               [] {
                 transpose(zeros({2, 3}), {0});
               },
               "[transpose] the order must name 2 axes, got 1"},
              {"axis twice",
               [] {
                 transpose(zeros({2, 3}), {0, 0});
               },
               "[transpose] axis 0 is named twice"},
              {"one axis", [] { transpose(zeros({2})); }, "[transpose] needs two axes"}};
  table.push_back(t);

  OpCase last_two = t;
  last_two.name = "transpose, the last two";
  last_two.errors = {};
  last_two.op = [](const std::vector<Tensor>& in, const Sizes&) { return transpose(in[0]); };
  last_two.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t i = 0; i < s[0]; ++i)
      for (int64_t k = 0; k < s[2]; ++k)
        for (int64_t j = 0; j < s[1]; ++j) y.push_back(in[0][(i * s[1] + j) * s[2] + k]);
    return y;
  });
  table.push_back(last_two);

  OpCase s = base;
  s.name = "slice_rows";
  s.bytes = {};  // a view
  s.check_sizes = {{4, 3, 2}, {2, 1, 5}, {1, 3, 2}};
  s.op = [](const std::vector<Tensor>& in, const Sizes& s) { return slice_rows(in[0], 1, s[0]); };
  s.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    return std::vector<T>(in[0].begin() + s[1] * s[2], in[0].end());
  });
  s.errors = {{"too far",
               [] {
                 slice_rows(zeros({2, 3}), 1, 3);
               },
               "[slice_rows] rows 1 … 3 are not within shape [2, 3]"},
              {"backward",
               [] {
                 slice_rows(zeros({2, 3}), 2, 1);
               },
               "[slice_rows] rows 2 … 1"}};
  table.push_back(s);

  OpCase c = base;
  c.name = "concatenate";
  c.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1], s[2]}}, {{s[0], 2, s[2]}}}; };
  c.op = [](const std::vector<Tensor>& in, const Sizes&) { return concatenate(in, 1); };
  c.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t i = 0; i < s[0]; ++i) {
      y.insert(y.end(), in[0].begin() + i * s[1] * s[2], in[0].begin() + (i + 1) * s[1] * s[2]);
      y.insert(y.end(), in[1].begin() + i * 2 * s[2], in[1].begin() + (i + 1) * 2 * s[2]);
    }
    return y;
  });
  c.errors = {{"other extent",
               [] {
                 concatenate({zeros({2, 3}), zeros({2, 4})});
               },
               "[concatenate] parts must agree but for axis 0: [2, 3] and [2, 4]"},
              {"nothing", [] { concatenate({}); }, "[concatenate] needs at least one part"},
              {"types",
               [] {
                 concatenate({zeros({2}), Array::zeros({2}, DType::f64)});
               },
               "f32 [2] and f64 [2]"}};
  table.push_back(c);

  OpCase e = base;
  e.name = "select_rows";
  e.bench_sizes = {{16384, 1, 768}};
  e.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return select_rows(in[0], every_other_row(s[0]));
  };
  e.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t i = 0; i < s[0]; ++i)
      for (int64_t k = 0; k < s[1] * s[2]; ++k) y.push_back(in[0][i / 2 * 2 * s[1] * s[2] + k]);
    return y;
  });
  e.errors = {
      {"out of range",
       [] {
         select_rows(zeros({2, 3}), Array::from(std::vector<int32_t>{0, 2}));
       },
       "[select_rows] ids must be in 0 … 1: id 2 at position 1"},
      {"negative",
       [] {
         select_rows(zeros({2, 3}), Array::from(std::vector<int64_t>{-1}));
       },
       "id -1"},
      {"not integers",
       [] {
         select_rows(zeros({2, 3}), Array::zeros({2}, DType::f32));
       },
       "got f32 [2]"},
      {"scalar", [] { select_rows(zeros({}), Array::zeros({2}, DType::i32)); }, "a scalar has no rows"}};
  table.push_back(e);
}

}  // namespace bertie
