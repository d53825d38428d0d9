#include "bertie/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bertie/autograd/random.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// Sizes {A, D, length of each sequence …}
Packing packing_of(const Sizes& s) {
  Packing packing;
  for (size_t i = 2; i < s.size(); ++i) packing.offsets.push_back(packing.offsets.back() + s[i]);
  packing.first_sequence = 5;
  return packing;
}

constexpr double rate = 0.3;
constexpr DropoutMask mask{rate, 11, 12, 13};

// What dropout multiplies the probability of `query` for `key` with, for one head of sequence n of the whole
// batch.
double factor(int64_t n, int64_t head, int64_t query, int64_t key) {
  std::array<uint32_t, 4> counter{static_cast<uint32_t>(key / 64 * 16 + key % 16),
                                  static_cast<uint32_t>(query), static_cast<uint32_t>(n),
                                  static_cast<uint32_t>(head + 1)};
  uint32_t word = philox(mix(mix(mask.seed, mask.step), mask.site), counter)[key / 16 % 4];
  return word >= std::llround(rate * 0x1p32) ? 1 / (1 - rate) : 0;
}

template <class T>
std::vector<T> plain_attention(const std::vector<T>& qkv, const Sizes& s, bool drops, bool causal = false) {
  int64_t A = s[0], D = s[1], H = A * D;
  Packing packing = packing_of(s);
  std::vector<T> y(static_cast<size_t>(packing.tokens() * H), T(0));
  for (int64_t n = 0; n < packing.sequences(); ++n) {
    int64_t first = packing.offsets[n], S = packing.offsets[n + 1] - first;
    auto at = [&](int64_t which, int64_t head, int64_t token, int64_t d) {
      return qkv[(first + token) * 3 * H + which * H + head * D + d];
    };
    for (int64_t head = 0; head < A; ++head) {
      for (int64_t i = 0; i < S; ++i) {
        int64_t keys = causal ? i + 1 : S;
        std::vector<T> p(keys);
        T sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t d = 0; d < D; ++d) p[j] += at(0, head, i, d) * at(1, head, j, d);
          p[j] /= std::sqrt(static_cast<T>(D));
        }
        T largest = *std::max_element(p.begin(), p.end());
        for (T& score : p) sum += score = std::exp(score - largest);
        for (int64_t j = 0; j < keys; ++j) {
          T weight = p[j] / sum;
          T kept = drops ? static_cast<T>(factor(packing.first_sequence + n, head, i, j)) : T(1);
          weight = kept > 0 ? weight * kept : 0;  // NaN that is dropped is gone
          for (int64_t d = 0; d < D; ++d) y[(first + i) * H + head * D + d] += weight * at(2, head, j, d);
        }
      }
    }
  }
  return y;
}

Tensor zeros(const Shape& shape) { return Array::zeros(shape, DType::f32); }

}  // namespace

void add_attention_cases(std::vector<OpCase>& table) {
  OpCase e;
  e.name = "attention";
  e.check_sizes = {{2, 2, 3, 1},       {1, 3, 2, 0, 3}, {3, 1, 4}, {1, 1, 1},
                   {1, 2, 1, 1, 2, 1}, {2, 2, 0},       {5, 1, 3}};
  e.large_sizes = {
      {2, 64, 37, 1, 130}, {3, 20, 129, 0, 16, 17}, {1, 80, 35}, {5, 12, 70, 3, 200}, {2, 16, 261}};
  Sizes equal{12, 64}, ragged{12, 64};
  for (int n = 0; n < 8; ++n) equal.push_back(128);
  for (int64_t S : {32, 37, 55, 34, 85, 14, 43, 17, 35, 30, 30, 10, 38, 53, 100, 60,
                    9,  17, 64, 19, 41, 14, 58, 74, 43, 42, 40, 24, 51, 35, 39,  48})
    ragged.push_back(S);
  e.bench_sizes = {equal, ragged, {12, 64, 512, 512}};
  e.inputs = [](const Sizes& s) {
    return std::vector<Input>{{{packing_of(s).tokens(), 3 * s[0] * s[1]}, -2, 2}};
  };
  e.op = [](const std::vector<Tensor>& in, const Sizes& s) { return attention(in[0], packing_of(s), s[0]); };
  e.loops([]<class T>(const Values<T>& in, const Sizes& s) { return plain_attention<T>(in[0], s, false); });
  // A probability feels the rounding of its score, a part in 10⁷ of it: those of queries and keys of 10⁴
  // would be noise in f32, whoever computes them. Queries and keys are constant, tiny, ±∞ and NaN, values
  // all.
  e.stays_ordinary = [](int64_t element, const Sizes& s) {
    int64_t H = s[0] * s[1];
    return element % (3 * H) < 2 * H;
  };
  // Gradients of queries and keys are differences of numbers that are as many times larger than the values'
  // differences as the values are; the numbers' roundings remain. attention_test.cpp has large equal scores.
  e.values_alone = {"constant", "shifted", "shifted far"};
  e.calls_library = false;
  e.flops = [](const Sizes& s) {
    double sum = 0;
    for (size_t i = 2; i < s.size(); ++i) sum += 4.0 * s[i] * s[i] * s[0] * s[1];
    return sum;
  };
  e.errors = {{"not three parts",
               [] {
                 attention(zeros({2, 8}), {{0, 2}}, 1);
               },
               "[attention] qkv must be [T, 3H], got [2, 8]"},
              {"one axis",
               [] {
                 attention(zeros({6}), {{0, 6}}, 1);
               },
               "[attention] qkv must be [T, 3H], got [6]"},
              {"heads",
               [] {
                 attention(zeros({2, 12}), {{0, 2}}, 3);
               },
               "[attention] the number of heads must divide H: H = 4, heads = 3"},
              {"no heads",
               [] {
                 attention(zeros({2, 12}), {{0, 2}}, 0);
               },
               "heads = 0"},
              {"nothing to attend with",
               [] {
                 attention(zeros({2, 0}), {{0, 2}}, 1);
               },
               "H = 0"},
              {"too few tokens",
               [] {
                 attention(zeros({2, 3}), {{0, 3}}, 1);
               },
               "[attention] offsets must end at the number of tokens"},
              {"falling offsets",
               [] {
                 attention(zeros({2, 3}), {{0, 3, 2}}, 1);
               },
               "[attention] offsets must not fall"},
              {"rate",
               [] {
                 attention(zeros({2, 3}), {{0, 2}}, 1, {.dropout = {1.0}});
               },
               "[attention]"},
              {"integers",
               [] {
                 attention(Array::zeros({2, 3}, DType::i32), {{0, 2}}, 1);
               },
               "got i32"},
              {"no value", [] { attention(Tensor(), {{0}}, 1); }, "[attention] needs a tensor with a value"}};
  table.push_back(e);

  OpCase drops = e;
  drops.name = "attention, dropout";
  drops.errors = {};
  drops.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return attention(in[0], packing_of(s), s[0], {mask});
  };
  drops.loops(
      []<class T>(const Values<T>& in, const Sizes& s) { return plain_attention<T>(in[0], s, true); });
  table.push_back(drops);

  OpCase causal = e;
  causal.name = "attention, causal";
  causal.errors = {};
  causal.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return attention(in[0], packing_of(s), s[0], {.causal = true});
  };
  causal.loops(
      []<class T>(const Values<T>& in, const Sizes& s) { return plain_attention<T>(in[0], s, false, true); });
  // Of query i for i + 1 keys.
  causal.flops = [](const Sizes& s) {
    double sum = 0;
    for (size_t i = 2; i < s.size(); ++i) sum += 2.0 * s[i] * (s[i] + 1) * s[0] * s[1];
    return sum;
  };
  table.push_back(causal);

  OpCase both = causal;
  both.name = "attention, causal, dropout";
  both.op = [](const std::vector<Tensor>& in, const Sizes& s) {
    return attention(in[0], packing_of(s), s[0], {.dropout = mask, .causal = true});
  };
  both.loops(
      []<class T>(const Values<T>& in, const Sizes& s) { return plain_attention<T>(in[0], s, true, true); });
  table.push_back(both);
}

}  // namespace bertie
