// Parameters: where they are and where their gradients go, and what records nothing.
#include "bertie/autograd/tensor.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "bertie/autograd/backward.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/reduce.h"
#include "tests/autograd/parameter.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(Parameter, TakesItsGradientAlongWhenItIsBound) {
  Array values = Array::zeros({2}, DType::f64), grads = Array::full({2}, 9, DType::f64);
  Tensor x = parameter({1, 2});
  backward(sum(x));
  x.bind(values, grads);
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{1, 1}));
  backward(sum(multiply(x, x)));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{3, 5}));
  x.mutable_array().fill_zero();
  EXPECT_EQ(values.to_vector<double>(), (std::vector<double>{0, 0}));
}

TEST(Parameter, RefusesWrongPlaces) {
  Tensor x = parameter({1, 2});
  Array two = Array::zeros({2}, DType::f64), three = Array::zeros({3}, DType::f64);
  EXPECT_EQ(message_of([&] { x.bind(two, three); }),
            "[bind] the new places must be f64 [2], like the parameter");
  EXPECT_EQ(message_of([&] { x.replace(three); }),
            "[replace] the new value must be f64 [2], like the parameter");
  x.replace(two);
  EXPECT_EQ(x.array().to_vector<double>(), (std::vector<double>{0, 0}));
  x.bind(two, two.clone());
  EXPECT_EQ(message_of([&] { x.bind(two, two); }), "[bind] this parameter's place is bound already");
  EXPECT_EQ(message_of([&] { x.replace(two); }),
            "[replace] this parameter's place is bound: copy into mutable_array() instead");
  x.unbind();
  EXPECT_EQ(message_of([&] { x.replace(two); }), "no error");
}

TEST(Parameter, MayGiveItsValueUp) {
  Array value = Array::from(std::vector<float>{0.5f, 2});
  Tensor x = Tensor::parameter(value), copy = x;
  Array rounded = x.rounded();
  x.release();
  EXPECT_FALSE(x);
  EXPECT_FALSE(copy);
  EXPECT_EQ(value.storage().use_count(), 1);
  EXPECT_EQ(rounded.storage().use_count(), 1);
  EXPECT_NE(message_of([&] { scale(x, 2); }), "no error");
  EXPECT_EQ(message_of([&] { x.rounded(); }), "[rounded] needs a tensor with a value");
  x.release();  // once more changes nothing
  x.replace(Array::from(std::vector<float>{3, 4}));
  EXPECT_EQ(copy.array().to_vector<float>(), (std::vector<float>{3, 4}));
  EXPECT_EQ(copy.rounded().cast(DType::f32).to_vector<float>(), (std::vector<float>{3, 4}));
}

TEST(Parameter, KeepsItsValueWhereItIsBound) {
  Tensor x = parameter({1, 2});
  x.bind(Array::zeros({2}, DType::f64), Array::zeros({2}, DType::f64));
  EXPECT_EQ(message_of([&] { x.release(); }), "[release] this parameter's place is bound");
  EXPECT_EQ(x.array().to_vector<double>(), (std::vector<double>{1, 2}));
  x.unbind();
  x.release();
  EXPECT_FALSE(x);
  EXPECT_EQ(message_of([] { Tensor(Array::zeros({2}, DType::f64)).release(); }),
            "[parameter] this tensor is not a parameter");
}

TEST(NoGrad, LastsUntilTheOutermostEnds) {
  Tensor x = parameter({1, 2});
  {
    NoGrad outer;
    {
      NoGrad inner;
      EXPECT_FALSE(scale(x, 2).requires_grad());
    }
    EXPECT_FALSE(scale(x, 2).requires_grad());
  }
  EXPECT_TRUE(scale(x, 2).requires_grad());
}

// A frozen parameter is a constant for whatever uses it from then on.
TEST(Freeze, NoGradientFlowsToAFrozenParameter) {
  Tensor x = parameter({1, 2}), w = parameter({3, 4});
  Tensor other = w;  // copies are the same parameter
  backward(sum(multiply(x, w)));
  Tensor before = multiply(x, w);
  w.freeze();
  w.freeze();  // once more changes nothing
  EXPECT_FALSE(w.requires_grad());
  EXPECT_FALSE(other.requires_grad());
  w.zero_grad();
  x.zero_grad();
  backward(sum(multiply(add(x, w), other)));
  EXPECT_EQ(grad(x), (std::vector<double>{3, 4}));
  EXPECT_FALSE(w.grad());
  EXPECT_FALSE(multiply(w, other).requires_grad());
  EXPECT_NE(message_of([&] { backward(sum(w)); }), "no error");
  backward(sum(before));  // recorded before: still a use of a parameter
  EXPECT_EQ(grad(w), (std::vector<double>{1, 2}));
  w.mutable_array().mutable_data<double>()[0] = 7;  // it is no constant for people
  EXPECT_EQ(other.array().item(0), 7);
}

// An operation's closure is told that a frozen input needs nothing, and isn't kept where all of them are.
TEST(Freeze, ClosuresArentAskedForFrozenInputs) {
  Tensor x = parameter({1, 2}), w = parameter({3, 4});
  int asked = 0;
  auto use = std::make_shared<int>(0);
  auto record_one = [&] {
    return record("one", Array::full({2}, 1, DType::f64), {x, w},
                  [&asked, use](Array dy, const Needs& needs) -> Gradients {
                    ++asked;
                    EXPECT_TRUE(needs[0]);
                    EXPECT_FALSE(needs[1]);
                    return {dy, Array()};
                  });
  };
  w.freeze();
  backward(sum(record_one()));
  EXPECT_EQ(asked, 1);
  x.freeze();
  Tensor y = record_one();
  EXPECT_FALSE(y.requires_grad());
  EXPECT_EQ(use.use_count(), 1);
  EXPECT_EQ(asked, 1);
}

TEST(Freeze, NotWhereTheParameterIsBound) {
  Tensor x = parameter({1, 2});
  x.bind(Array::zeros({2}, DType::f64), Array::zeros({2}, DType::f64));
  EXPECT_EQ(message_of([&] { x.freeze(); }), "[freeze] this parameter's place is bound: freeze it before");
  EXPECT_TRUE(x.requires_grad());
  x.unbind();
  x.freeze();
  EXPECT_FALSE(x.requires_grad());
  EXPECT_EQ(message_of([] { Tensor(Array::zeros({2}, DType::f64)).freeze(); }),
            "[parameter] this tensor is not a parameter");
}

}  // namespace
}  // namespace bertie
