#include "bertie/ops/dropout.h"

#include <cmath>
#include <functional>
#include <numeric>

#include "bertie/autograd/random.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// {T, C …}: two sequences and an empty one between.
Packing packing_of(const Sizes& s) { return {{0, s[0] / 3, s[0] / 3, s[0]}, 5}; }
Shape shape_of(const Sizes& s) { return {s.data(), static_cast<int>(s.size())}; }
int64_t channels_of(const Sizes& s) {
  return std::accumulate(s.begin() + 1, s.end(), int64_t{1}, std::multiplies<>());
}
constexpr DropoutMask mask{0.3, 11, 4, 2};

// The word that decides about one element, as ops/kernels/dropout.h describes it.
uint32_t word_of(const Packing& packing, int64_t t, int64_t c) {
  int64_t n = 0;
  while (packing.offsets[n + 1] <= t) ++n;
  auto words =
      philox(mix(mix(mask.seed, mask.step), mask.site),
             {static_cast<uint32_t>(c / 64 * 16 + c % 16), static_cast<uint32_t>(t - packing.offsets[n]),
              static_cast<uint32_t>(packing.first_sequence + n), 0});
  return words[c / 16 % 4];
}

}  // namespace

void add_dropout_cases(std::vector<OpCase>& table) {
  OpCase c;
  c.name = "dropout";
  c.check_sizes = {{7, 5}, {3, 20}, {1, 1}, {0, 3}, {7}, {5, 2, 3}};
  c.large_sizes = {{5, 63}, {6, 65}, {200, 130}, {200, 13, 10}};
  c.bench_sizes = {{16384, 768}};
  c.inputs = [](const Sizes& s) { return std::vector<Input>{{shape_of(s)}}; };
  c.op = [](const std::vector<Tensor>& in, const Sizes& s) { return dropout(in[0], packing_of(s), mask); };
  c.loops([]<class T>(const Values<T>& in, const Sizes& s) {
    std::vector<T> y;
    int64_t channels = channels_of(s);
    for (int64_t t = 0; t < s[0]; ++t)
      for (int64_t i = 0; i < channels; ++i)
        y.push_back(word_of(packing_of(s), t, i) >= 0.3 * 0x1p32 ? in[0][t * channels + i] / T(1 - 0.3)
                                                                 : T(0));
    return y;
  });
  c.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0] * channels_of(s)); };
  c.backward_bytes = c.bytes;
  auto run = [](double rate, std::vector<int64_t> offsets) {
    return [=] { dropout(Array::zeros({3, 2}, DType::f32), {offsets}, {rate, 1, 0, 0}); };
  };
  c.errors = {{"rate", run(1, {0, 3}), "[dropout] the dropout rate must be in 0 … 1 (1 excluded), got 1"},
              {"negative rate", run(-0.1, {0, 3}), "[dropout] the dropout rate must be"},
              {"packing", run(0.1, {0, 2}),
               "[dropout] offsets must end at the number of tokens: 3 tokens, last offset 2"},
              {"no axis",
               [] {
                 dropout(Array::zeros({}, DType::f32), {{0, 1}}, {0.1, 1, 0, 0});
               },
               "[dropout] x must be [T, …], got []"}};
  table.push_back(c);
}

}  // namespace bertie
