// What every entry of the case table (tests/op_cases) is put through.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "bertie/autograd/gradcheck.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/elementwise.h"
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

Array random_gradient(const Shape& shape) {
  Array dy = Array::empty(shape, DType::f64);
  Random random(7);
  for (double *p = dy.mutable_data<double>(), *end = p + dy.size(); p != end; ++p)
    *p = static_cast<float>(random.normal());
  return dy;
}

// Values of one run, then the gradients of its inputs, all in f64.
std::vector<std::vector<double>> run(const OpCase& op, const Sizes& sizes, DType type) {
  std::vector<Tensor> in = as_tensors(op, sizes, make_inputs(op, sizes, type, 1));
  Tensor y = op.op(in, sizes);
  std::vector<std::vector<double>> results{y.array().cast(DType::f64).to_vector<double>()};
  backward(y, random_gradient(y.shape()).cast(type));
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

// Every element within `tolerance` of the largest expected one, or of `least` where all are smaller.
void expect_close(const std::vector<double>& values, const std::vector<double>& expected, double tolerance,
                  double least, const std::string& what) {
  ASSERT_EQ(values.size(), expected.size()) << what;
  double allowed = tolerance * std::max(least, largest(expected));
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_TRUE(std::abs(values[i] - expected[i]) <= allowed)
        << what << ", element " << i << ": " << values[i] << " in place of " << expected[i];
}

// The derivative of Σ dy · plain(x) along a direction in one input, at one of the large sizes.
class Directional {
 public:
  Directional(const OpCase& op, const Sizes& sizes, std::vector<double> dy)
      : op_(op), sizes_(sizes), dy_(std::move(dy)) {
    for (const Array& input : make_inputs(op, sizes, DType::f64, 1)) in_.push_back(input.to_vector<double>());
  }

  // Along elements begin … end-1 of `direction`, by differences as in autograd/gradcheck.cpp.
  double operator()(size_t input, const std::vector<double>& direction, size_t begin, size_t end) {
    std::vector<double>& x = in_[input];
    const std::vector<double> before = x;
    auto at = [&](double h) {
      for (size_t i = begin; i < end; ++i) x[i] = before[i] + h * direction[i];
      return op_.plain(in_, sizes_);
    };
    constexpr double h = direction_step;
    std::vector<double> plus = at(h), minus = at(-h), far_plus = at(2 * h), far_minus = at(-2 * h);
    x = before;
    double sum = 0, lost = 0;
    for (size_t i = 0; i < dy_.size(); ++i) {
      double term = dy_[i] * (8 * (plus[i] - minus[i]) - (far_plus[i] - far_minus[i])), next = sum + term;
      lost += std::abs(sum) >= std::abs(term) ? (sum - next) + term : (term - next) + sum;
      sum = next;
    }
    return (sum + lost) / (12 * h);
  }

 private:
  const OpCase& op_;
  const Sizes& sizes_;
  std::vector<double> dy_;
  Values<double> in_;
};

// Random signs and lengths, so that neither a missing element nor two that changed places leaves the sum as
// it is.
std::vector<double> random_direction(size_t size, uint64_t seed) {
  Random random(seed);
  std::vector<double> direction(size);
  for (double& value : direction) value = (0.5 + random.uniform()) * (random.next() % 2 ? 1 : -1);
  return direction;
}

struct Along {
  double analytic, allowed;  // the derivative, and how far from it the differences may be
};

// Σ gradient · direction over elements begin … end-1. The parts of a sum are as large as its root of squares
// when their signs are random; a hundred millionth of it is roundings'.
Along along(const std::vector<double>& gradient, const std::vector<double>& direction, size_t begin,
            size_t end) {
  double sum = 0, squares = 0;
  for (size_t i = begin; i < end; ++i) {
    sum += gradient[i] * direction[i];
    squares += gradient[i] * direction[i] * gradient[i] * direction[i];
  }
  return {sum, 1e-8 * std::sqrt(squares)};
}

class OpCases : public testing::TestWithParam<OpCase> {};

TEST_P(OpCases, ValuesAgreeWithThePlainLoop) {
  const OpCase& op = GetParam();
  ASSERT_FALSE(op.check_sizes.empty());
  ASSERT_FALSE(op.large_sizes.empty());
  for (const std::vector<Sizes>& list : {op.check_sizes, op.large_sizes}) {
    for (const Sizes& sizes : list) {
      NoGrad no_grad;
      Tensor y = op.op(as_tensors(op, sizes, make_inputs(op, sizes, DType::f64, 1)), sizes);
      expect_close(y.array().to_vector<double>(), run_plain(op, op.plain, sizes), 1e-12, 1,
                   title(op, sizes) + ", value");
    }
  }
}

TEST_P(OpCases, GradientsAgreeWithCentralDifferences) {
  for (const Sizes& sizes : GetParam().check_sizes) EXPECT_NO_THROW(check_gradient(GetParam(), sizes));
}

// At sizes with several tasks, blocks and vectors. All elements take part in a direction; where it doesn't
// agree, halves of it tell in which element.
TEST_P(OpCases, GradientsAtLargeSizesAgreeWithDifferencesOfThePlainLoop) {
  const OpCase& op = GetParam();
  std::vector<Input> inputs;
  for (const Sizes& sizes : op.large_sizes) {
    inputs = op.inputs(sizes);
    std::vector<std::vector<double>> results = run(op, sizes, DType::f64);
    Directional numeric(op, sizes,
                        random_gradient({static_cast<int64_t>(results[0].size())}).to_vector<double>());
    for (size_t input = 0, k = 1; input < inputs.size(); ++input) {
      if (!inputs[input].needs_gradient) continue;
      const std::vector<double>& gradient = results[k++];
      for (uint64_t seed : {1, 2}) {
        std::vector<double> direction = random_direction(gradient.size(), seed);
        auto wrong_by = [&](size_t begin, size_t end) {  // in units of what is allowed
          Along a = along(gradient, direction, begin, end);
          double error = std::abs(a.analytic - numeric(input, direction, begin, end));
          return error <= a.allowed ? 0 : error / (a.allowed + 1e-300);
        };
        size_t begin = 0, end = gradient.size();
        if (wrong_by(begin, end) == 0) continue;
        while (end - begin > 1) {
          size_t middle = begin + (end - begin) / 2;
          (wrong_by(begin, middle) >= wrong_by(middle, end) ? end : begin) = middle;
        }
        ADD_FAILURE() << title(op, sizes) << ": input " << input << ", element " << begin << ": analytic "
                      << gradient[begin] << ", numeric "
                      << numeric(input, direction, begin, end) / direction[begin];
      }
    }
  }
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

// A gradient may take the memory of dy, or of a saved input, where nobody else holds it; and what isn't
// wanted isn't computed. None of that may change a result.
TEST_P(OpCases, GradientsDontDependOnWhoHoldsTheMemoryOrWantsOne) {
  const OpCase& op = GetParam();
  std::vector<Sizes> list = op.check_sizes;
  list.push_back(op.large_sizes.back());
  for (const Sizes& sizes : list) {
    std::vector<std::vector<double>> expected = run(op, sizes, DType::f64);
    std::vector<Input> inputs = op.inputs(sizes);
    std::vector<Array> values = make_inputs(op, sizes, DType::f64, 1);
    {
      std::vector<Tensor> parameters = as_tensors(op, sizes, values), in;
      for (const Tensor& x : parameters) in.push_back(scale(x, 1));
      Tensor y = op.op(in, sizes);
      in.clear();
      y = scale(y, 1);
      backward(y, random_gradient(y.shape()));
      for (size_t i = 0, k = 1; i < inputs.size(); ++i)
        if (inputs[i].needs_gradient)
          expect_close(
              parameters[i].grad().to_vector<double>(), expected[k++], 0, 0,
              title(op, sizes) + ", held by the graph alone, gradient of input " + std::to_string(i));
    }
    for (size_t i = 0, k = 1; i < inputs.size(); ++i) {
      if (!inputs[i].needs_gradient) continue;
      std::vector<Tensor> in(values.begin(), values.end());
      in[i] = Tensor::parameter(values[i]);
      Tensor y = op.op(in, sizes);
      Array dy = random_gradient(y.shape()), before = dy.clone();
      backward(y, dy);
      EXPECT_EQ(dy.to_vector<double>(), before.to_vector<double>()) << title(op, sizes) << ": dy was ours";
      expect_close(in[i].grad().to_vector<double>(), expected[k++], 0, 0,
                   title(op, sizes) + ", wanted alone, gradient of input " + std::to_string(i));
    }
  }
}

// f32 against the plain loop in f64 and against the gradients in f64, which the tests above check at the same
// sizes. The yardstick for values is the error of the plain loop in f32; for gradients that of the run with
// plain loops for products and the baseline's instructions.
TEST_P(OpCases, SinglePrecisionIsAsGoodAsThePlainLoop) {
  const OpCase& op = GetParam();
  Isa best = isa();
  for (const Sizes& sizes : op.large_sizes) {
    std::vector<std::vector<double>> exact = run(op, sizes, DType::f64);
    exact[0] = run_plain(op, op.plain, sizes);
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
        if (!op.flops && backend != GemmBackend::openblas) continue;  // it has no products
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

// An offset that a task forgets shows from the second task on.
TEST_P(OpCases, LargeSizesReachASecondTaskOfEachLoop) {
  const OpCase& op = GetParam();
  std::map<TaskCounts::Loop, int64_t> forward, backward_;
  auto add = [](std::map<TaskCounts::Loop, int64_t>& all, const TaskCounts& counts) {
    for (auto [loop, most] : counts.most) all[loop] = std::max(all[loop], most);
  };
  for (const Sizes& sizes : op.large_sizes) {
    std::vector<Tensor> in = as_tensors(op, sizes, make_inputs(op, sizes, DType::f64, 1));
    Tensor y;
    {
      TaskCounts counts;
      y = op.op(in, sizes);
      add(forward, counts);
    }
    Array dy = random_gradient(y.shape());
    TaskCounts counts;
    backward(y, dy);
    add(backward_, counts);
  }
  for (auto* loops : {&forward, &backward_})
    for (auto [loop, most] : *loops)
      EXPECT_TRUE(most >= 2 || op.one_task)
          << op.name << ": no size has a second task of some loop "
          << (loops == &forward ? "forward" : "backward") << ": add one to large_sizes";
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
