// Every entry of the case table (tests/op_cases) with inputs at the edge of what numbers can hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/layer_norm.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/reduce.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::min();

struct Kind {
  std::string name;
  double factor, shift;  // of every element, but of those that stay ordinary
  bool overflows;        // squares do: then NaN or ∞ may stand where f64 still has a number
};
const Kind kinds[] = {{"large", 1e4, 0, false},   {"huge", 1e19, 0, true},
                      {"tiny", 1e-30, 0, false},  {"constant", 0, 1000.1, false},
                      {"shifted", 1, 1e3, false}, {"shifted far", 8, 1e8, false}};

// The entry's inputs, so changed and rounded to f32.
std::vector<Array> inputs_of(const OpCase& op, const Sizes& sizes, const Kind& kind) {
  std::vector<Array> arrays = make_inputs(op, sizes, DType::f64, 1);
  bool grows = kind.factor > 1 || (kind.factor > 0 && kind.shift > 0);
  for (Array& array : arrays) {
    double* x = array.mutable_data<double>();
    for (int64_t i = 0; i < array.size(); ++i)
      if (!grows || !op.stays_ordinary || &array != arrays.data() || !op.stays_ordinary(i, sizes))
        x[i] = static_cast<float>(x[i] * kind.factor + kind.shift);
  }
  return arrays;
}

using Results = std::vector<std::vector<double>>;  // the value, then the gradients of the inputs

Results run(const OpCase& op, const Sizes& sizes, const std::vector<Array>& arrays, DType type) {
  std::vector<Input> inputs = op.inputs(sizes);
  std::vector<Tensor> in;
  for (size_t i = 0; i < arrays.size(); ++i) {
    Array x = arrays[i].cast(type);
    in.push_back(inputs[i].needs_gradient ? Tensor::parameter(x) : Tensor(x));
  }
  Tensor y = op.op(in, sizes);
  Array dy = Array::empty(y.shape(), DType::f64);
  Random random(7);
  for (int64_t i = 0; i < dy.size(); ++i) dy.mutable_data<double>()[i] = static_cast<float>(random.normal());
  backward(y, dy.cast(type));
  Results results{y.array().cast(DType::f64).to_vector<double>()};
  for (const Tensor& x : in)
    if (x.requires_grad()) results.push_back(x.grad().cast(DType::f64).to_vector<double>());
  return results;
}

template <class T>
std::vector<double> run_plain(const PlainLoop<T>& plain, const Sizes& sizes,
                              const std::vector<Array>& arrays) {
  Values<T> values;
  for (const Array& x : arrays) values.push_back(x.cast(dtype_of<T>()).template to_vector<T>());
  std::vector<T> y = plain(values, sizes);
  return {y.begin(), y.end()};
}

bool in_range(double x) { return std::abs(x) <= most; }

// The largest of the numbers that f32 has.
double largest_in_range(const std::vector<double>& values) {
  double result = 0;
  for (double x : values)
    if (in_range(x)) result = std::max(result, std::abs(x));
  return result;
}
double largest_error(const std::vector<double>& values, const std::vector<double>& exact) {
  double result = 0;
  for (size_t i = 0; i < exact.size(); ++i)
    if (in_range(exact[i]) && in_range(values[i])) result = std::max(result, std::abs(values[i] - exact[i]));
  return result;
}

// NaN where it is NaN, ∞ where it is beyond f32's range, else within `allowed`.
void expect_agree(const std::vector<double>& values, const std::vector<double>& exact, double allowed,
                  bool overflows, const std::string& what) {
  ASSERT_EQ(values.size(), exact.size()) << what;
  for (size_t i = 0; i < exact.size(); ++i) {
    double y = values[i], e = exact[i];
    bool right = std::isnan(e) ? std::isnan(y)
                 : in_range(e) ? std::abs(y - e) <= allowed
                               : std::signbit(y) == std::signbit(e) && std::abs(y) > most;
    ASSERT_TRUE(right || (overflows && !std::isfinite(y)))
        << what << ", element " << i << ": " << y << " in place of " << e << ", allowed " << allowed;
  }
}

void check(const OpCase& op, const Sizes& sizes, const std::vector<Array>& arrays, bool overflows,
           bool gradients, const std::string& what) {
  Results exact = run(op, sizes, arrays, DType::f64);
  std::vector<double> plain = run_plain(op.plain, sizes, arrays);
  expect_agree(exact[0], plain, 1e-12 * std::max(1.0, largest_in_range(plain)), false,
               what + ", value in f64");
  exact[0] = plain;
  double plain_error = largest_error(run_plain(op.plain_f32, sizes, arrays), exact[0]);
  Isa best = isa();
  for (Isa instructions : available_isas()) {
    for (GemmBackend backend : {GemmBackend::openblas, GemmBackend::onednn, GemmBackend::few_rows}) {
      if (!op.flops && backend != GemmBackend::openblas) continue;  // it has no products
      set_isa(instructions);
      set_gemm_backend(backend);
      Results results = run(op, sizes, arrays, DType::f32);
      for (size_t i = 0; i < (gradients ? results.size() : 1); ++i) {
        double allowed = i == 0 ? std::max(4 * plain_error, 1e-6 * largest_in_range(exact[0]))
                                : 1e-5 * largest_in_range(exact[i]);
        expect_agree(results[i], exact[i], allowed + least, overflows,
                     what + ", " + name(instructions) + ", " + name(backend) + ", " +
                         (i == 0 ? "value" : "gradient of input " + std::to_string(i - 1)));
      }
    }
  }
  set_isa(best);
  set_gemm_backend(std::nullopt);
}

class ExtremeInputs : public testing::TestWithParam<OpCase> {};

TEST_P(ExtremeInputs, GiveWhatDoublePrecisionGives) {
  const OpCase& op = GetParam();
  for (const Sizes& sizes : {op.check_sizes.front(), op.large_sizes.front()})
    for (const Kind& kind : kinds)
      check(op, sizes, inputs_of(op, sizes, kind), kind.overflows,
            std::count(op.values_alone.begin(), op.values_alone.end(), kind.name) == 0,
            op.name + ", " + kind.name);
}

// One element of one input.
TEST_P(ExtremeInputs, InfinityAndNanArriveWhereTheyShould) {
  const OpCase& op = GetParam();
  for (const Sizes& sizes : {op.check_sizes.front(), op.large_sizes.front()}) {
    std::vector<Array> arrays = inputs_of(op, sizes, {"", 1, 0, false});
    for (size_t input = 0; input < arrays.size(); ++input)
      for (double value : {infinity, -infinity, std::nan("")}) {
        std::vector<Array> changed = arrays;
        changed[input] = arrays[input].clone();
        changed[input].mutable_data<double>()[changed[input].size() / 2] = value;
        check(op, sizes, changed, false, true,
              op.name + ", " + std::to_string(value) + " in input " + std::to_string(input));
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, ExtremeInputs, testing::ValuesIn(op_cases()), [](const auto& info) {
  std::string id;
  for (char c : info.param.name) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return id;
});

// Four logits as large as you like: the loss is log 4, the gradient 1/4 each and one less for the label.
TEST(CrossEntropy, EqualLogitsCostTheSameHoweverLargeTheyAre) {
  for (float size : {1e4f, 1e8f, 1e20f, 3e38f, -1e8f, 1e-30f}) {
    Tensor logits = Tensor::parameter(Array::full({1, 4}, size, DType::f32));
    for (double smoothing : {0.0, 0.1}) {
      logits.zero_grad();
      Tensor loss = cross_entropy(logits, Array::zeros({1}, DType::i32), {.label_smoothing = smoothing});
      EXPECT_FLOAT_EQ(static_cast<float>(loss.item()), 1.38629436f) << size;
      backward(loss);
      float rest = static_cast<float>(0.25 - smoothing / 4);
      for (int64_t i = 0; i < 4; ++i)
        EXPECT_NEAR(logits.grad().item(i), i == 0 ? -3 * rest : rest, 1e-7) << size << " " << i;
    }
  }
}

TEST(LogSumExp, HasTheSoftmaxOfLargeNumbersAsItsGradient) {
  Tensor x = Tensor::parameter(Array::full({3, 4}, 1e8, DType::f32));
  Tensor y = log_sum_exp(x, {{1}});
  EXPECT_EQ(y.array().item(2), 1e8);
  backward(sum(y));
  for (int64_t i = 0; i < 12; ++i) EXPECT_FLOAT_EQ(static_cast<float>(x.grad().item(i)), 0.25f);
}

class LayerNormRows : public testing::Test {
 protected:
  static constexpr int64_t H = 768;
  static Array norm(const Array& x, double epsilon = 1e-12) {
    return layer_norm(x, Array::full({H}, 0.5, DType::f32), Array::full({H}, 2, DType::f32), epsilon).array();
  }
};

TEST_F(LayerNormRows, OfOneValueAreTheBiasExactly) {
  for (double value : {1000.1, 1e-30, -3e38, 1e8 + 8, 0.0})
    EXPECT_EQ(norm(Array::full({2, H}, value, DType::f32)).to_vector<float>(),
              std::vector<float>(2 * H, 2.0f))
        << value;
}

TEST_F(LayerNormRows, KeepTheirDigitsBesideALargeMean) {
  Random random(1);
  for (double mean : {0.0, 1e3, 1e5, -1e7}) {
    Array x = Array::empty({1, H}, DType::f32);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < H; ++i) {
      x.mutable_data<float>()[i] = static_cast<float>(mean + random.normal());
      sum += x.item(i);
    }
    for (int64_t i = 0; i < H; ++i) squares += (x.item(i) - sum / H) * (x.item(i) - sum / H);
    Array y = norm(x);
    for (int64_t i = 0; i < H; ++i)
      EXPECT_NEAR(y.item(i), (x.item(i) - sum / H) / std::sqrt(squares / H) * 0.5 + 2, 1e-6) << mean;
  }
}

// The first element is what the others are shifted by at first: one far from them must not cost digits.
TEST_F(LayerNormRows, KeepTheirDigitsBehindAnOutlier) {
  Random random(2);
  Array x = Array::empty({1, H}, DType::f32);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < H; ++i) {
    x.mutable_data<float>()[i] = static_cast<float>(i == 0 ? 1e4 : random.normal());
    sum += x.item(i);
  }
  for (int64_t i = 0; i < H; ++i) squares += (x.item(i) - sum / H) * (x.item(i) - sum / H);
  Array y = norm(x);
  for (int64_t i = 0; i < H; ++i)
    EXPECT_NEAR(y.item(i), (x.item(i) - sum / H) / std::sqrt(squares / H) * 0.5 + 2,
                1e-6 * std::abs(y.item(0)));
}

TEST_F(LayerNormRows, WhoseVarianceOverflowsAreNaN) {
  Array x = Array::zeros({2, H}, DType::f32);
  for (int64_t i = 0; i < H; ++i) x.mutable_data<float>()[i] = i % 2 ? 1e19f : -1e19f;
  Array y = norm(x);
  for (int64_t i = 0; i < H; ++i) {
    EXPECT_TRUE(std::isnan(y.item(i)));
    EXPECT_EQ(y.item(H + i), 2);  // its neighbor has nothing to do with that
  }
}

TEST(Mean, OfNumbersWhoseSumOverflows) {
  Array x = Array::full({3, 700}, 3e38, DType::f32);
  EXPECT_NEAR(mean(x).item() / 3e38, 1, 1e-6);
  Tensor of_rows = mean(x, {{1}});
  for (int64_t i = 0; i < 3; ++i) EXPECT_NEAR(of_rows.array().item(i) / 3e38, 1, 1e-6);
  EXPECT_EQ(mean(Array::from(std::vector<float>{INFINITY, 1})).item(), INFINITY);
}

}  // namespace
}  // namespace bertie
