// What every entry of the case table (tests/op_cases) is put through.
#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/gradcheck.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/gemm.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

std::string title(const OpCase& op, const Sizes& sizes) {
  std::string text = op.name + " {";
  for (int64_t size : sizes) text += (text.back() == '{' ? "" : ", ") + std::to_string(size);
  return text + "}";
}

// The inputs that want a gradient as parameters, the others as constants.
std::vector<Tensor> as_tensors(const OpCase& op, const Sizes& sizes, const std::vector<Array>& arrays) {
  std::vector<Input> inputs = op.inputs(sizes);
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < arrays.size(); ++i)
    tensors.push_back(inputs[i].needs_gradient ? Tensor::parameter(arrays[i]) : Tensor(arrays[i]));
  return tensors;
}

template <class T>
std::vector<T> run_plain(const OpCase& op, const PlainLoop<T>& plain, const Sizes& sizes) {
  Values<T> values;
  for (const Array& input : make_inputs(op, sizes, dtype_of<T>(), 1)) values.push_back(input.to_vector<T>());
  return plain(values, sizes);
}

// Values of one run, then the gradients of its inputs, all in f64.
std::vector<std::vector<double>> run(const OpCase& op, const Sizes& sizes, DType type) {
  std::vector<Tensor> in = as_tensors(op, sizes, make_inputs(op, sizes, type, 1));
  Tensor y = op.op(in, sizes);
  std::vector<std::vector<double>> results{y.array().cast(DType::f64).to_vector<double>()};
  Array dy = Array::empty(y.shape(), DType::f64);
  Random random(7);
  for (double *p = dy.mutable_data<double>(), *end = p + dy.size(); p != end; ++p)
    *p = static_cast<float>(random.normal());
  backward(y, dy.cast(type));
  for (const Tensor& input : in)
    if (input.requires_grad()) results.push_back(input.grad().cast(DType::f64).to_vector<double>());
  return results;
}

// gradcheck() of the inputs that want a gradient.
void check_gradient(const OpCase& op, const Sizes& sizes, const BackwardHooks& hooks = {}) {
  std::vector<Array> all = make_inputs(op, sizes, DType::f64, 1), wanted;
  std::vector<Input> inputs = op.inputs(sizes);
  for (size_t i = 0; i < all.size(); ++i)
    if (inputs[i].needs_gradient) wanted.push_back(all[i]);
  GradcheckOptions options;
  options.hooks = hooks;
  gradcheck(
      title(op, sizes),
      [&](const std::vector<Tensor>& parameters) {
        std::vector<Tensor> in;
        for (size_t i = 0, k = 0; i < all.size(); ++i)
          in.push_back(inputs[i].needs_gradient ? parameters[k++] : Tensor(all[i]));
        return op.op(in, sizes);
      },
      wanted, options);
}

class OpCases : public testing::TestWithParam<OpCase> {};

TEST_P(OpCases, ValuesAgreeWithThePlainLoop) {
  const OpCase& op = GetParam();
  ASSERT_FALSE(op.check_sizes.empty());
  for (const Sizes& sizes : op.check_sizes) {
    NoGrad no_grad;
    Tensor y = op.op(as_tensors(op, sizes, make_inputs(op, sizes, DType::f64, 1)), sizes);
    std::vector<double> expected = run_plain(op, op.plain, sizes);
    double difference = largest_difference(y.array().to_vector<double>(), expected);
    EXPECT_LE(difference, 1e-12 * std::max(1.0, largest(expected))) << title(op, sizes);
  }
}

TEST_P(OpCases, GradientsAgreeWithCentralDifferences) {
  for (const Sizes& sizes : GetParam().check_sizes) EXPECT_NO_THROW(check_gradient(GetParam(), sizes));
}

// Two elements of one gradient that differ visibly, or {0, 0}.
std::pair<int64_t, int64_t> visibly_different(const Array& gradient) {
  const double* g = gradient.data<double>();
  int64_t low = 0, high = 0;
  for (int64_t i = 0; i < gradient.size(); ++i) {
    if (g[i] < g[low]) low = i;
    if (g[i] > g[high]) high = i;
  }
  return {low, high};
}

TEST_P(OpCases, TheGradientCheckNoticesFaults) {
  const OpCase& op = GetParam();
  const Sizes& sizes = op.check_sizes.front();
  // How many gradients the graph's operations return, in all.
  size_t returned = 0;
  BackwardHooks count;
  count.on_returned_gradients = [&](const char*, Gradients& gradients) {
    for (const Gradient& gradient : gradients) returned += static_cast<bool>(gradient);
  };
  check_gradient(op, sizes, count);
  ASSERT_GT(returned, 0u);

  using Fault = std::function<bool(Array & gradient)>;  // false: it can't be put into this one
  std::pair<const char*, Fault> faults[] = {
      {"dropped",
       [](Array& gradient) {
         gradient = Array();
         return true;
       }},
      {"replaced by zeros",
       [](Array& gradient) {
         double size = largest(gradient.to_vector<double>());
         gradient = Array::zeros(gradient.shape(), DType::f64);
         return size > 0;
       }},
      {"scaled by 1.001",
       [](Array& gradient) {
         gradient = gradient.clone();
         double* g = gradient.mutable_data<double>();
         double sum = 0;
         for (int64_t i = 0; i < gradient.size(); ++i) {
           sum += std::abs(g[i]);
           g[i] *= 1.001;
         }
         return sum > 0;
       }},
      {"with two elements swapped", [](Array& gradient) {
         if (gradient.size() < 2) return false;
         gradient = gradient.clone();
         auto [low, high] = visibly_different(gradient);
         double* g = gradient.mutable_data<double>();
         if (std::abs(g[low] - g[high]) < 1e-3 * std::max(std::abs(g[low]), std::abs(g[high]))) return false;
         std::swap(g[low], g[high]);
         return true;
       }}};
  for (auto& [what, fault] : faults) {
    bool applied_anywhere = false;
    for (size_t target = 0; target < returned; ++target) {
      size_t index = 0;
      bool applied = false;
      BackwardHooks hooks;
      hooks.on_returned_gradients = [&](const char*, Gradients& gradients) {
        for (Gradient& gradient : gradients)
          if (gradient && index++ == target) applied = fault(gradient.values);
        applied_anywhere = applied_anywhere || applied;
      };
      bool noticed = false;
      try {
        check_gradient(op, sizes, hooks);
      } catch (const Error&) {
        noticed = true;
      }
      EXPECT_TRUE(noticed || !applied) << title(op, sizes) << ": gradient " << target << " " << what;
    }
    // Only a swap can be impossible: where all elements of each gradient are equal, as of a sum.
    EXPECT_TRUE(applied_anywhere || std::string(what).find("swapped") != std::string::npos) << what;
  }
}

// f32 against f64. The yardstick for values is the error of the plain loop in f32; for gradients that of the
// run with plain loops for products and the baseline's instructions.
TEST_P(OpCases, SinglePrecisionIsAsGoodAsThePlainLoop) {
  const OpCase& op = GetParam();
  Isa best = isa();
  for (const Sizes& sizes : op.tile_sizes) {
    std::vector<std::vector<double>> exact = run(op, sizes, DType::f64);
    set_isa(Isa::baseline);
    set_gemm_backend(GemmBackend::plain);
    std::vector<std::vector<double>> yardstick = run(op, sizes, DType::f32);
    std::vector<float> plain = run_plain(op, op.plain_f32, sizes);
    yardstick[0].assign(plain.begin(), plain.end());
    for (size_t i = 1; i < yardstick.size(); ++i)  // the yardstick itself must be good
      EXPECT_TRUE(largest_difference(yardstick[i], exact[i]) <= 1e-5 * largest(exact[i]))
          << title(op, sizes) << ", gradient of input " << i - 1;
    for (Isa instructions : available_isas()) {
      for (GemmBackend backend : {GemmBackend::openblas, GemmBackend::onednn, GemmBackend::few_rows}) {
        set_isa(instructions);
        set_gemm_backend(backend);
        std::vector<std::vector<double>> result = run(op, sizes, DType::f32);
        ASSERT_EQ(result.size(), exact.size());
        for (size_t i = 0; i < result.size(); ++i) {
          double allowed = std::max(4 * largest_difference(yardstick[i], exact[i]), 1e-6 * largest(exact[i]));
          double error = largest_difference(result[i], exact[i]);
          EXPECT_TRUE(error <= allowed)
              << title(op, sizes) << ", " << (i == 0 ? "value" : "gradient of input " + std::to_string(i - 1))
              << ", " << name(instructions) << ", " << name(backend) << ": error " << error << ", allowed "
              << allowed;
        }
      }
    }
    set_isa(best);
    set_gemm_backend(std::nullopt);
  }
}

TEST_P(OpCases, WrongArgumentsAreNamed) {
  for (const ErrorCase& error : GetParam().errors) {
    try {
      error.call();
      ADD_FAILURE() << GetParam().name << ": no error for " << error.what;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(error.message), std::string::npos)
          << GetParam().name << ", " << error.what << ": " << e.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, OpCases, testing::ValuesIn(op_cases()), [](const auto& info) {
  std::string id;
  for (char c : info.param.name) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return id;
});

// An operation without its first input says so; which inputs may be missing is the operation's own matter.
TEST_P(OpCases, AMissingInputIsNamed) {
  const OpCase& op = GetParam();
  std::vector<Tensor> in =
      as_tensors(op, op.check_sizes[0], make_inputs(op, op.check_sizes[0], DType::f64, 1));
  in[0] = Tensor();
  std::string message = message_of([&] { op.op(in, op.check_sizes[0]); });
  EXPECT_NE(message.find("value"), std::string::npos) << message;
}

TEST(OpCasesCoverage, IsPrinted) {
  std::string isas;
  for (Isa instructions : available_isas()) isas += std::string(" ") + name(instructions);
  std::printf(
      "The case table: %zu entries; instruction sets covered:%s; products by openblas, onednn, plain\n",
      op_cases().size(), isas.c_str());
  EXPECT_GT(op_cases().size(), 20u);
}

}  // namespace
}  // namespace bertie
