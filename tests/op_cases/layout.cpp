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

  // Sizes {a, b, c, axis}: all indices of the axis but the first and the last.
  OpCase s = base;
  s.name = "slice";
  s.check_sizes = {{4, 3, 2, 0}, {3, 5, 2, 1}, {2, 3, 4, 2}, {3, 1, 3, 2},
                   {2, 3, 2, 1}, {0, 4, 3, 1}, {2, 2, 1, 0}};
  s.large_sizes = {{7, 17, 331, 0}, {7, 17, 331, 1}, {7, 17, 331, 2}};
  s.bench_sizes = {{128, 128, 768, 1}, {128, 128, 768, 2}};
  s.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    int axis = static_cast<int>(s[3]);
    return slice(in[0], axis == 2 ? -1 : axis, 1, s[axis] - 1);
  };
  s.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t i = 0; i < s[0]; ++i)
      for (int64_t j = 0; j < s[1]; ++j)
        for (int64_t k = 0; k < s[2]; ++k) {
          int64_t index[] = {i, j, k};
          if (index[s[3]] > 0 && index[s[3]] < s[s[3]] - 1) y.push_back(in[0][(i * s[1] + j) * s[2] + k]);
        }
    return y;
  });
  s.errors = {{"too far",
               [] {
                 slice(zeros({2, 3}), 1, 1, 4);
               },
               "[slice] indices 1 … 4 are not within axis 1 of shape [2, 3]"},
              {"backward",
               [] {
                 slice(zeros({2, 3}), 0, 2, 1);
               },
               "[slice] indices 2 … 1"},
              {"negative",
               [] {
                 slice(zeros({2, 3}), -1, -1, 1);
               },
               "[slice] indices -1 … 1 are not within axis 1"},
              {"axis",
               [] {
                 slice(zeros({2, 3}), 2, 0, 1);
               },
               "axis 2 is out of range for 2 axes"}};
  table.push_back(s);

  // Sizes {a, b, c, axis}: the first index of the axis, which then comes last.
  OpCase p = base;
  p.name = "split";
  p.check_sizes = {{4, 3, 2, 0}, {3, 5, 2, 1}, {2, 3, 4, 2}, {3, 1, 3, 1}};
  // The engine adds the slices' gradients, in larger tasks than theirs.
  p.large_sizes = {{13, 17, 331, 0}, {13, 17, 331, 1}, {13, 17, 331, 2}};
  p.bench_sizes = {};  // slices
  p.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    int axis = static_cast<int>(s[3]);
    std::vector<Tensor> parts = split(in[0], {1, s[axis] - 1}, axis - 3);
    return concatenate({parts[1], parts[0]}, axis);
  };
  p.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t i = 0; i < s[0]; ++i)
      for (int64_t j = 0; j < s[1]; ++j)
        for (int64_t k = 0; k < s[2]; ++k) {
          int64_t index[] = {i, j, k};
          index[s[3]] = (index[s[3]] + 1) % s[s[3]];
          y.push_back(in[0][(index[0] * s[1] + index[1]) * s[2] + index[2]]);
        }
    return y;
  });
  p.errors = {{"too much",
               [] {
                 split(zeros({2, 3}), {2, 2}, 1);
               },
               "[split] sizes must add up to the extent: axis 1 of shape [2, 3] has 1 left for a part of 2"},
              {"negative",
               [] {
                 split(zeros({2, 3}), {4, -1}, 1);
               },
               "has 3 left for a part of 4"},
              {"too little",
               [] {
                 split(zeros({2, 3}), {1, 1}, -1);
               },
               "[split] sizes must add up to the extent: 1 of axis -1 of shape [2, 3] are left"},
              {"unequal",
               [] {
                 split(zeros({2, 3}), 2, 1);
               },
               "[split] 2 parts don't divide axis 1 of shape [2, 3]"},
              {"no parts",
               [] {
                 split(zeros({0, 3}), 0, 0);
               },
               "[split] 0 parts"},
              {"no value", [] { split(Tensor(), 2, 0); }, "[split] needs a tensor with a value"}};
  table.push_back(p);

  OpCase equal = p;
  equal.name = "split, equal parts";
  equal.errors = {};
  equal.check_sizes = {{2, 4, 3}, {1, 2, 1}};
  equal.large_sizes = {{7, 34, 331}};
  equal.op = [](const std::vector<Tensor>& in, const Sizes&) {
    std::vector<Tensor> parts = split(in[0], 2, 1);
    return concatenate({parts[1], parts[0]}, 1);
  };
  equal.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int64_t i = 0; i < s[0]; ++i)
      for (int64_t j = 0; j < s[1]; ++j)
        for (int64_t k = 0; k < s[2]; ++k) y.push_back(in[0][(i * s[1] + (j + s[1] / 2) % s[1]) * s[2] + k]);
    return y;
  });
  table.push_back(equal);

  // Sizes {a, b, c, axis}: with x [a, b, c] another whose extent along the axis is 2.
  OpCase c = base;
  c.name = "concatenate";
  c.check_sizes = {{2, 3, 4, 1}, {2, 3, 4, 0}, {2, 3, 4, 2}, {1, 5, 1, 1},
                   {4, 1, 2, 2}, {2, 0, 3, 1}, {0, 2, 3, 2}};
  c.large_sizes = {{7, 17, 331, 0}, {7, 17, 331, 1}, {7, 17, 331, 2}};
  c.bench_sizes = {{128, 128, 768, 1}};
  c.inputs = [](const Sizes& s) {
    Shape one{s[0], s[1], s[2]};
    return std::vector<Input>{{one}, {one.with(static_cast<int>(s[3]), 2)}};
  };
  c.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return concatenate(in, static_cast<int>(s[3]) - 3);
  };
  c.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    int64_t outer = 1, inner = 1, axis = s[3];
    for (int64_t i = 0; i < 3; ++i) (i < axis ? outer : inner) *= i == axis ? 1 : s[i];
    std::vector<T> y;
    for (int64_t i = 0; i < outer; ++i) {
      for (int64_t k = 0; k < s[axis] * inner; ++k) y.push_back(in[0][i * s[axis] * inner + k]);
      for (int64_t k = 0; k < 2 * inner; ++k) y.push_back(in[1][i * 2 * inner + k]);
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

  // Sizes {a, b, axis}: two tensors [a, b].
  OpCase k = base;
  k.name = "stack";
  k.check_sizes = {{3, 4, 0}, {3, 4, 1}, {3, 4, 2}, {1, 1, 1}, {0, 2, 1}};
  k.large_sizes = {{131, 331, 0}, {131, 331, 1}, {131, 331, 2}};
  k.bench_sizes = {{8192, 768, 1}};
  k.bytes = [](const Sizes& s) { return 24.0 * static_cast<double>(s[0] * s[1]); };
  k.backward_bytes = k.bytes;
  k.inputs = [](const Sizes& s) { return std::vector<Input>{{{s[0], s[1]}}, {{s[0], s[1]}}}; };
  k.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return stack(in, static_cast<int>(s[2]) - (s[2] == 0 ? 0 : 3));
  };
  k.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    int64_t before[] = {1, s[0], s[0] * s[1]}, outer = before[s[2]],
            inner = s[0] * s[1] == 0 ? 0 : s[0] * s[1] / outer;
    std::vector<T> y;
    for (int64_t i = 0; i < outer; ++i)
      for (const std::vector<T>& x : in)
        for (int64_t k = 0; k < inner; ++k) y.push_back(x[i * inner + k]);
    return y;
  });
  k.errors = {{"shapes",
               [] {
                 stack({zeros({2, 3}), zeros({2, 4})});
               },
               "[stack] all must agree: f32 [2, 3] and f32 [2, 4]"},
              {"types",
               [] {
                 stack({zeros({2}), Array::zeros({2}, DType::f64)});
               },
               "[stack] all must agree: f32 [2] and f64 [2]"},
              {"axis",
               [] {
                 stack({zeros({2, 3})}, 3);
               },
               "[stack] axis 3 can't be added to shape [2, 3]"},
              {"negative axis",
               [] {
                 stack({zeros({2, 3})}, -4);
               },
               "[stack] axis -4 can't be added"},
              {"too many axes",
               [] {
                 stack({zeros({1, 1, 1, 1, 1, 1})});
               },
               "[stack] axis 0 can't be added"},
              {"nothing", [] { stack({}); }, "[stack] needs at least one tensor"},
              {"no value",
               [] {
                 stack({zeros({2}), Tensor()});
               },
               "[stack] needs a tensor with a value"}};
  table.push_back(k);

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
