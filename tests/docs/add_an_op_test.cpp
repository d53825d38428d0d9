// The operation that docs/add_an_op.md adds step by step: what stands there is quoted from here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bertie/autograd/gradcheck.h"
#include "tests/message_of.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// y = log(1 + eˣ), a smooth relu (Dugas et al., 2001)    x [...] → y [...]. Throws unless x is f32 or f64.
Tensor softplus(const Tensor& x);

Tensor softplus(const Tensor& x) {
  BERTIE_CHECK(static_cast<bool>(x), "softplus", "needs a tensor with a value");
  Array y = Array::empty(x.shape(), x.dtype());
  dispatch("softplus", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.array().data<T>();
    T* out = y.mutable_data<T>();
    // log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|): here nothing overflows.
    for (int64_t i = 0; i < y.size(); ++i)
      out[i] = std::max(in[i], T(0)) + std::log1p(std::exp(-std::abs(in[i])));
  });
  // dy/dx = eˣ / (1 + eˣ) = 1 / (1 + e⁻ˣ)
  return record("softplus", y, {x}, [x = x.array()](Array dy, const Needs&) -> Gradients {
    Array dx = dy.unique() ? std::move(dy) : dy.clone();
    dispatch("softplus", dx.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* in = x.data<T>();
      T* out = dx.mutable_data<T>();
      for (int64_t i = 0; i < dx.size(); ++i) out[i] /= 1 + std::exp(-in[i]);
    });
    return {dx};
  });
}

void add_softplus_cases(std::vector<OpCase>& table) {
  OpCase e;
  e.name = "softplus";
  e.check_sizes = {{1}, {7}, {16}};
  e.large_sizes = {{16}, {1031}};
  e.bench_sizes = {{1024 * 768}};
  e.inputs = [](const Sizes& s) { return std::vector<Input>{{.shape = {s[0]}, .low = -4, .high = 4}}; };
  e.op = [](const std::vector<Tensor>& in, const Sizes&) { return softplus(in[0]); };
  e.loops([]<class T>(const Values<T>& in, const Sizes&) {
    std::vector<T> y;
    for (T x : in[0]) y.push_back(std::log(1 + std::exp(x)));
    return y;
  });
  e.errors = {{"integers", [] { softplus(Array::zeros({2}, DType::i32)); },
               "[softplus] computes in f32 or f64, got i32"}};
  e.bytes = [](const Sizes& s) { return 8.0 * static_cast<double>(s[0]); };
  table.push_back(e);
}

class AddAnOp : public testing::Test {
 protected:
  AddAnOp() {
    std::vector<OpCase> table;
    add_softplus_cases(table);
    entry_ = table.at(0);
  }
  // What the gradient check says of the entry at its second size.
  std::string gradient_message(const BackwardHooks& hooks = {}) {
    const Sizes& sizes = entry_.check_sizes[1];
    GradcheckOptions options;
    options.hooks = hooks;
    return message_of([&] {
      gradcheck(
          "softplus", [&](const std::vector<Tensor>& in) { return entry_.op(in, sizes); },
          make_inputs(entry_, sizes, DType::f64, 1), options);
    });
  }
  OpCase entry_;
};

TEST_F(AddAnOp, TheEntryHolds) {
  for (const Sizes& sizes : entry_.check_sizes) {
    Array x = make_inputs(entry_, sizes, DType::f64, 1)[0];
    std::vector<double> expected = entry_.plain({x.to_vector<double>()}, sizes);
    std::vector<double> values = entry_.op({x}, sizes).array().to_vector<double>();
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-14);
  }
  EXPECT_EQ(gradient_message(), "no error");
  for (const ErrorCase& error : entry_.errors) EXPECT_EQ(message_of(error.call), error.message);
}

TEST_F(AddAnOp, TheCheckNeedsNoTable) {
  Array x = Array::from(std::vector<double>{-2, -0.5, 0, 3});
  gradcheck("softplus", [](const std::vector<Tensor>& in) { return softplus(in[0]); }, {x});
}

TEST_F(AddAnOp, NothingOverflows) {
  Array y = softplus(Array::from(std::vector<float>{-1000, 0, 1000})).array();
  EXPECT_EQ(y.item(0), 0);
  EXPECT_FLOAT_EQ(static_cast<float>(y.item(1)), std::log(2.0f));
  EXPECT_EQ(y.item(2), 1000);
}

TEST_F(AddAnOp, AWrongGradientIsNamed) {
  BackwardHooks fault;
  fault.on_returned_gradients = [](const char*, Gradients& gradients) {
    gradients[0].values = gradients[0].values.clone();
    gradients[0].values.mutable_data<double>()[2] *= 1.001;
  };
  std::string message = gradient_message(fault);
  EXPECT_TRUE(message.starts_with("[gradcheck] softplus: input 0, element 2: analytic ")) << message;
  EXPECT_NE(message.find("relative error 0.000999"), std::string::npos) << message;
}

}  // namespace
}  // namespace bertie
