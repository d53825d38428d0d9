// A check that can't fail is none: each kind of wrong gradient must be named.
#include "bertie/autograd/gradcheck.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/message_of.h"

namespace bertie {
namespace {

// y = x³ with a gradient that `fault` changes.
std::string message_with(const std::function<void(std::vector<double>&)>& fault) {
  auto cube = [&](const std::vector<Tensor>& in) {
    std::vector<double> x = in[0].array().to_vector<double>(), y;
    for (double value : x) y.push_back(value * value * value);
    return record("cube", Array::from(y), {in[0]}, [&fault, x](Array dy, const Needs&) -> Gradients {
      std::vector<double> dx;
      for (size_t i = 0; i < x.size(); ++i) dx.push_back(dy.data<double>()[i] * 3 * x[i] * x[i]);
      fault(dx);
      return {Array::from(dx)};
    });
  };
  return message_of([&] { gradcheck("cube", cube, {Array::from(std::vector<double>{-2, -0.5, 0.25, 3})}); });
}

TEST(Gradcheck, NamesTheElement) {
  EXPECT_EQ(message_with([](auto&) {}), "no error");
  auto starts = [](const std::string& message, const std::string& start) {
    EXPECT_TRUE(message.starts_with("[gradcheck] cube: input 0, element " + start + ": analytic "))
        << message;
  };
  starts(message_with([](auto& dx) { dx[1] *= 1.00001; }), "1");
  starts(message_with([](auto& dx) { dx[3] = -dx[3]; }), "3");
  starts(message_with([](auto& dx) { dx[2] = 0; }), "2");
  starts(message_with([](auto& dx) { std::swap(dx[0], dx[3]); }), "0");
  starts(message_with([](auto& dx) { dx[0] = std::nan(""); }), "0");
}

TEST(Gradcheck, NamesAnInputWithoutAGradient) {
  auto first = [](const std::vector<Tensor>& in) {
    return record("first", in[0].array().clone(), {in[0]},
                  [](Array dy, const Needs&) -> Gradients { return {dy}; });
  };
  Array x = Array::from(std::vector<double>{1, 2});
  EXPECT_EQ(message_of([&] {
              gradcheck("first", first, {x, x});
            }),
            "[gradcheck] first: no gradient reached input 1");
  EXPECT_EQ(message_of([&] { gradcheck("first", first, {x.cast(DType::f32)}); }),
            "[gradcheck] first: inputs must be f64");
}

}  // namespace
}  // namespace bertie
