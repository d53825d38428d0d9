// Attention against the composition of simpler operations that it replaces.
#include "bertie/ops/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layout.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/softmax.h"

namespace bertie {
namespace {

Array random_array(const Shape& shape, DType type, uint64_t stream) {
  Random random(1, stream);
  Array values = Array::empty(shape, DType::f64);
  for (double *p = values.mutable_data<double>(), *end = p + values.size(); p != end; ++p)
    *p = static_cast<float>(random.normal());
  return values.cast(type);
}

Packing packing_of(const std::vector<int64_t>& lengths) {
  Packing packing;
  for (int64_t S : lengths) packing.offsets.push_back(packing.offsets.back() + S);
  return packing;
}

// 0 where query i sees key j, else −∞    [S, S]
Tensor causal_mask(int64_t S, DType type) {
  Array mask = Array::zeros({S, S}, DType::f64);
  for (int64_t i = 0; i < S; ++i)
    for (int64_t j = i + 1; j < S; ++j) mask.mutable_data<double>()[i * S + j] = -INFINITY;
  return mask.cast(type);
}

// softmax(scale · Q Kᵀ + mask) V, sequence by sequence, with all heads as one batch. No dropout.
Tensor composed_attention(const Tensor& qkv, const Packing& packing, int64_t A, bool causal) {
  int64_t H = qkv.shape()[1] / 3, D = H / A;
  std::vector<Tensor> outputs;
  for (int64_t n = 0; n < packing.sequences(); ++n) {
    int64_t S = packing.offsets[n + 1] - packing.offsets[n];
    if (S == 0) continue;
    Tensor rows = slice(qkv, 0, packing.offsets[n], packing.offsets[n + 1]);
    Tensor parts = transpose(reshape(rows, {S, 3, A, D}), {1, 2, 0, 3});  // [3, A, S, D]
    auto part = [&](int64_t i) { return reshape(slice(parts, 0, i, i + 1), {A, S, D}); };
    Tensor scores =
        scale(matmul(part(0), part(1), {.transpose_b = true}), 1 / std::sqrt(static_cast<double>(D)));
    if (causal) scores = scores + causal_mask(S, qkv.dtype());
    outputs.push_back(reshape(transpose(matmul(softmax(scores), part(2)), {1, 0, 2}), {S, H}));
  }
  return concatenate(outputs);
}

struct AttentionResult {
  Array y, gradient;
};

template <class Op>
AttentionResult run_attention(Op op, const Array& qkv) {
  Tensor parameter = Tensor::parameter(qkv);
  Tensor y = op(parameter);
  backward(y, random_array(y.shape(), y.dtype(), 2));
  return {y.array(), parameter.grad()};
}

double worst_difference(const Array& a, const Array& b) {
  std::vector<double> x = a.cast(DType::f64).to_vector<double>(), y = b.cast(DType::f64).to_vector<double>();
  EXPECT_EQ(x.size(), y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double error = std::abs(x[i] - y[i]);
    worst = error <= worst ? worst : error;  // NaN is the worst
  }
  return worst;
}

bool same_bits(const Array& a, const Array& b) {
  return a.shape() == b.shape() && std::memcmp(a.bytes_begin(), b.bytes_begin(), a.bytes()) == 0;
}

TEST(Attention, AgreesWithTheCompositionItReplaces) {
  Packing packing = packing_of({37, 1, 150, 0, 16});
  for (auto [A, causal] : {std::pair{1, false}, {3, false}, {1, true}, {3, true}}) {
    Array qkv = random_array({packing.tokens(), 3 * A * 24}, DType::f64, 1);
    auto fused = [&](const Tensor& x) { return attention(x, packing, A, {.causal = causal}); };
    auto composed = [&](const Tensor& x) { return composed_attention(x, packing, A, causal); };
    AttentionResult exact = run_attention(composed, qkv), f64 = run_attention(fused, qkv);
    EXPECT_LE(worst_difference(f64.y, exact.y), 1e-13);
    EXPECT_LE(worst_difference(f64.gradient, exact.gradient), 1e-12);
    // In f32 no worse than the composition is, but for chance.
    AttentionResult fused_f32 = run_attention(fused, qkv.cast(DType::f32)),
                    composed_f32 = run_attention(composed, qkv.cast(DType::f32));
    EXPECT_LE(worst_difference(fused_f32.y, exact.y), 4 * worst_difference(composed_f32.y, exact.y));
    EXPECT_LE(worst_difference(fused_f32.gradient, exact.gradient),
              4 * worst_difference(composed_f32.gradient, exact.gradient));
  }
}

TEST(Attention, SameBitsOnAnyNumberOfThreads) {
  int before = thread_count();
  Packing packing = packing_of({37, 90, 150, 16});
  Array qkv = random_array({packing.tokens(), 3 * 128}, DType::f32, 1);
  for (bool causal : {false, true}) {
    AttentionOptions options{{0.1, 1, 2, 3}, causal};
    auto op = [&](const Tensor& x) { return attention(x, packing, 4, options); };
    set_thread_count(1);
    AttentionResult one = run_attention(op, qkv);
    for (int threads : {2, 3, 5}) {
      set_thread_count(threads);
      AttentionResult several = run_attention(op, qkv);
      EXPECT_TRUE(same_bits(several.y, one.y)) << threads;
      EXPECT_TRUE(same_bits(several.gradient, one.gradient)) << threads;
    }
  }
  set_thread_count(before);
}

// A batch computed in parts gives what it gives as a whole, dropout included.
TEST(Attention, ASequenceDependsOnItsPlaceInTheWholeBatchAlone) {
  Packing whole = packing_of({5, 9, 7}), part = packing_of({9, 7});
  part.first_sequence = 1;
  Array qkv = random_array({21, 3 * 12}, DType::f32, 1);
  DropoutMask mask{0.4, 1, 2, 3};
  Array y = attention(qkv, whole, 2, {mask}).array(),
        later = attention(qkv.rows(5, 21), part, 2, {mask}).array();
  EXPECT_TRUE(same_bits(later, y.rows(5, 21).clone()));
  part.first_sequence = 2;
  EXPECT_FALSE(same_bits(attention(qkv.rows(5, 21), part, 2, {mask}).array(), y.rows(5, 21).clone()));
}

// What follows a token changes nothing: neither its result, nor what a gradient there sends back.
TEST(Attention, CausalNeverLooksAhead) {
  constexpr int64_t S = 150, prefix = 70;
  Array qkv = random_array({S, 3 * 12}, DType::f32, 1), dy = random_array({S, 12}, DType::f32, 2);
  for (int64_t i = prefix * 12; i < dy.size(); ++i) dy.mutable_data<float>()[i] = 0;
  AttentionOptions options{{0.4, 1, 2, 3}, true};
  auto run_rows = [&](int64_t rows) {
    Tensor x = Tensor::parameter(qkv.rows(0, rows).clone());
    Tensor y = attention(x, packing_of({rows}), 2, options);
    backward(y, dy.rows(0, rows).clone());
    return AttentionResult{y.array(), x.grad()};
  };
  AttentionResult whole = run_rows(S), alone = run_rows(prefix);
  EXPECT_TRUE(same_bits(whole.y.rows(0, prefix).clone(), alone.y));
  EXPECT_LE(worst_difference(whole.gradient.rows(0, prefix), alone.gradient), 1e-5);
  EXPECT_EQ(worst_difference(whole.gradient.rows(prefix, S), Array::zeros({S - prefix, 36}, DType::f32)), 0);
}

// With equal scores and values of 1, an output is the share of the probabilities that dropout left, scaled.
TEST(Attention, DropoutRemovesTheGivenShareInEveryHead) {
  constexpr int64_t S = 200, A = 4;
  Array qkv = Array::zeros({S, 3 * A}, DType::f64);
  for (int64_t t = 0; t < S; ++t) std::fill_n(qkv.mutable_data<double>() + t * 3 * A + 2 * A, A, 1.0);
  Array y = attention(qkv, packing_of({S}), A, {.dropout = {0.25, 1, 2, 3}}).array();
  std::vector<std::vector<double>> outputs(A);
  for (int64_t head = 0; head < A; ++head) {
    double mean = 0;
    for (int64_t t = 0; t < S; ++t) {
      outputs[head].push_back(y.item(t * A + head));
      mean += outputs[head].back() / S;
    }
    // The mean of 40,000 draws has a standard deviation of √(0.25 · 0.75 / 40,000) / 0.75 = 0.0029.
    EXPECT_NEAR(mean, 1, 0.015) << "head " << head;
  }
  EXPECT_NE(outputs[0], outputs[1]);
}

TEST(Attention, EmptySequencesAndTheirAbsence) {
  EXPECT_EQ(attention(Array::zeros({0, 12}, DType::f32), packing_of({}), 2).shape(), (Shape{0, 4}));
  EXPECT_EQ(attention(Array::zeros({0, 12}, DType::f32), packing_of({0, 0}), 2).shape(), (Shape{0, 4}));
  // One token attends to itself alone.
  Array qkv = random_array({1, 12}, DType::f32, 1);
  Array y = attention(qkv, packing_of({0, 1}), 2).array();
  EXPECT_LE(worst_difference(y, qkv.flat(8, {1, 4})), 1e-6);
}

TEST(Attention, LargeScoresDontOverflowAndNotANumberStaysInItsSequence) {
  Array qkv = random_array({6, 12}, DType::f32, 1);
  for (int64_t i = 0; i < 12; ++i) qkv.mutable_data<float>()[i] *= 1e4f;
  qkv.mutable_data<float>()[4 * 12] = std::nanf("");
  Array y = attention(qkv, packing_of({3, 3}), 1).array();
  for (int64_t i = 0; i < 3 * 4; ++i) EXPECT_TRUE(std::isfinite(y.item(i))) << i;
  for (int64_t i = 4 * 4; i < 5 * 4; ++i) EXPECT_TRUE(std::isnan(y.item(i))) << i;
}

// √3 isn't a power of two, so that scaling a score of 10¹² rounds it by thousands.
TEST(Attention, RoundingsOfLargeScoresDontOverflow) {
  Array qkv = random_array({40, 9}, DType::f32, 1);
  for (int64_t i = 0; i < qkv.size(); ++i) qkv.mutable_data<float>()[i] *= 1e6f;
  AttentionResult result =
      run_attention([](const Tensor& x) { return attention(x, packing_of({40}), 1); }, qkv);
  for (const Array& values : {result.y, result.gradient})
    for (int64_t i = 0; i < values.size(); ++i) EXPECT_TRUE(std::isfinite(values.item(i))) << i;
}

// Equal scores of 10⁸ share alike, in the backward pass as well: with dy = 1, 0 … the gradient of the scores
// is p (dP − δ) with p = 1/4, dP = v and δ the mean of v; that of the keys is q / √D = 10⁴ times as much.
TEST(Attention, EqualScoresShareAlikeHoweverLargeTheyAre) {
  Array qkv = Array::from(std::vector<float>{1e4f, 1e4f, 1, 0, 1e4f, 3, 0, 1e4f, 5, 0, 1e4f, 7}, {4, 3});
  Tensor x = Tensor::parameter(qkv);
  Tensor y = attention(x, packing_of({4}), 1);
  EXPECT_EQ(y.array().to_vector<float>(), (std::vector<float>{4, 4, 4, 4}));
  backward(y, Array::from(std::vector<float>{1, 0, 0, 0}, {4, 1}));
  EXPECT_EQ(x.grad().to_vector<float>(),
            (std::vector<float>{0, -7500, 0.25f, 0, -2500, 0.25f, 0, 2500, 0.25f, 0, 7500, 0.25f}));
}

// What a query doesn't see doesn't reach it, not as NaN either: no output, and no gradient of a query.
TEST(Attention, CausalKeepsNanOfLaterTokensOut) {
  for (int64_t part : {0, 1, 2}) {
    for (double value : {NAN, INFINITY}) {
      constexpr int64_t S = 90, H = 12, at = 41;
      Array clean = random_array({S, 3 * H}, DType::f32, 1), qkv = clean.clone();
      for (int64_t i = 0; i < H; ++i) qkv.mutable_data<float>()[at * 3 * H + part * H + i] = float(value);
      auto causal = [](const Tensor& x) { return attention(x, packing_of({S}), 3, {.causal = true}); };
      AttentionResult expected = run_attention(causal, clean), result = run_attention(causal, qkv);
      for (int64_t i = 0; i < at * H; ++i)
        EXPECT_EQ(result.y.item(i), expected.y.item(i)) << part << " " << i;
      for (int64_t t = 0; t < at; ++t)
        for (int64_t i = 0; i < H; ++i)
          EXPECT_NEAR(result.gradient.item(t * 3 * H + i), expected.gradient.item(t * 3 * H + i), 1e-5)
              << part << " " << t << " " << i;
      EXPECT_TRUE(std::isnan(result.y.item(at * H)) || part == 2);
    }
  }
}

// Nor does NaN in the gradient of an output reach the keys and values of later tokens.
TEST(Attention, CausalKeepsNanOfEarlierGradientsOut) {
  constexpr int64_t S = 90, H = 12, at = 41;
  auto gradient_of = [](const Array& dy) {
    Tensor x = Tensor::parameter(random_array({S, 3 * H}, DType::f32, 1));
    backward(attention(x, packing_of({S}), 3, {.causal = true}), dy);
    return x.grad();
  };
  Array dy = random_array({S, H}, DType::f32, 2);
  Array expected = gradient_of(dy.clone());
  for (int64_t i = 0; i < H; ++i) dy.mutable_data<float>()[at * H + i] = NAN;
  Array gradient = gradient_of(dy);
  for (int64_t t = 0; t < S; ++t)
    for (int64_t i = 0; i < 3 * H; ++i) {
      bool reached = t == at || (t < at && i >= H);  // by that query: what it sees
      double value = gradient.item(t * 3 * H + i);
      if (reached)
        EXPECT_TRUE(std::isnan(value)) << t << " " << i;
      else
        EXPECT_NEAR(value, expected.item(t * 3 * H + i), 1e-5) << t << " " << i;
    }
}

TEST(Attention, KeepsNoMatrixOfProbabilities) {
  constexpr int64_t S = 600, A = 2, H = 16;
  Tensor qkv = Tensor::parameter(random_array({S, 3 * H}, DType::f32, 1));
  int64_t before = memory_counters().live_bytes;
  Tensor y = attention(qkv, packing_of({S}), A);
  int64_t kept = memory_counters().live_bytes - before;
  EXPECT_LE(kept, S * (H + 2 * A) * 4 + 4096);  // the result, the largest scores and the sums
  EXPECT_GE(kept, S * H * 4);
}

}  // namespace
}  // namespace bertie
