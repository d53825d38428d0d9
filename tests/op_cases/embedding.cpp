#include "bertie/ops/embedding.h"

#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// {V, H, T}: ids that repeat, with gaps.
std::vector<int32_t> ids(const Sizes& s) {
  std::vector<int32_t> result;
  for (int64_t t = 0; t < s[2]; ++t) result.push_back(static_cast<int32_t>(t * t % s[0]));
  return result;
}

}  // namespace

void add_embedding_cases(std::vector<OpCase>& table) {
  OpCase e;
  e.name = "embedding";
  e.check_sizes = {{5, 3, 7}, {1, 1, 3}, {4, 2, 1}, {4, 2, 0}, {4, 0, 3}};
  e.large_sizes = {{50, 129, 40}, {53, 257, 200}};
  e.bench_sizes = {{30522, 768, 16384}};
  e.inputs = [](const Sizes& s) { return std::vector<Input>{{.shape = {s[0], s[1]}, .is_parameter = true}}; };
  e.op = [](const std::vector<Tensor>& in, const Sizes& s) { return embedding(in[0], Array::from(ids(s))); };
  e.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    for (int32_t id : ids(s))
      for (int64_t h = 0; h < s[1]; ++h) y.push_back(in[0][id * s[1] + h]);
    return y;
  });
  e.errors = {
      {"id too large",
       [] {
         embedding(Array::zeros({5, 2}, DType::f32), Array::from(std::vector<int32_t>{4, 5}));
       },
       "[embedding] ids must be in 0 … 4: id 5 at position 1"},
      {"negative id",
       [] {
         embedding(Array::zeros({5, 2}, DType::f32), Array::from(std::vector<int64_t>{-1}));
       },
       "[embedding] ids must be in 0 … 4: id -1 at position 0"},
      {"ids of two axes",
       [] {
         embedding(Array::zeros({5, 2}, DType::f32), Array::zeros({2, 2}, DType::i32));
       },
       "[embedding] ids must be one axis"},
      {"table of one axis", [] { embedding(Array::zeros({5}, DType::f32), Array::zeros({2}, DType::i32)); },
       "[embedding] the table must be [V, H], got [5]"}};
  e.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[1] * s[2]); };
  e.backward_bytes = [](const Sizes& s) { return 4.0 * static_cast<double>(s[1] * (s[2] + 2 * s[0])); };
  table.push_back(e);
}

}  // namespace bertie
