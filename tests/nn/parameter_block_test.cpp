#include <gtest/gtest.h>

#include <cmath>

#include "bertie/nn/optimizer.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

TEST(ParameterBlock, HoldsValuesAndGradientsInModuleOrder) {
  TwoLayers model;
  double before = model.parameters()[2].tensor.array().item(3);
  ParameterBlock block(model);
  EXPECT_EQ(block.size(), 26);
  EXPECT_EQ(block.values().item(12 + 4 + 3), before);
  model.eval();
  backward(sum(model.forward(Array::full({5, 3}, 1, DType::f64))));
  EXPECT_EQ(block.gradients().item(25), 5);  // of the last bias
  double squares = 0;
  for (double g : block.gradients().to_vector<double>()) squares += g * g;
  EXPECT_DOUBLE_EQ(block.gradient_norm(), std::sqrt(squares));
  block.zero_grad();
  EXPECT_EQ(message_of([&] { block.gradient_norm(); }),
            "[gradient_norm] the loss doesn't reach these parameters: first.weight, first.bias, "
            "second.weight, second.bias");
}

TEST(ParameterBlock, CollectsGradientsElsewhere) {
  TwoParameters model;
  ParameterBlock block(model);
  Array other = Array::full({2}, 5, DType::f64);
  auto gradients = [&] { return block.gradients().to_vector<double>(); };
  model.set_gradients(3);
  block.collect_in(other, {true, false});
  EXPECT_EQ(message_of([&] { block.check_reached("test"); }),
            "[test] the loss doesn't reach these parameters: vector");
  backward(sum(scale(model.matrix, 2)) + sum(scale(model.vector, 2)));
  EXPECT_EQ(other.to_vector<double>(), (std::vector<double>{7, 2}));
  EXPECT_EQ(gradients(), (std::vector<double>{3, 3}));
  block.collect_in(block.gradients(), {false, true});
  backward(sum(scale(model.matrix, 2)) + sum(scale(model.vector, 2)));
  EXPECT_EQ(gradients(), (std::vector<double>{2, 5}));
  EXPECT_EQ(message_of([&] {
              block.collect_in(Array::zeros({3}, DType::f64), {true, true});
            }),
            "[parameter_block] gradients of f64 [2] in 2 segments can't be collected in f64 [3] of 2");
  EXPECT_NE(message_of([&] { block.collect_in(Array::zeros({2}, DType::f32), {true, true}); }), "no error");
  EXPECT_NE(message_of([&] { block.collect_in(other, {true}); }), "no error");
}

TEST(ParameterBlock, OnlyOneAtATimeHoldsAParameter) {
  TwoLayers model;
  model.eval();
  {
    ParameterBlock block(model);
    EXPECT_EQ(message_of([&] { ParameterBlock second(model.first); }),
              "[bind] this parameter's place is bound already");
    backward(sum(model.forward(Array::full({5, 3}, 1, DType::f64))));
  }
  ParameterBlock later(model);
  Array before = later.values().clone();
  later.zero_grad();
  backward(sum(model.forward(Array::full({5, 3}, 1, DType::f64))));
  EXPECT_EQ(later.gradients().item(25), 5);
  SGD(later).step(0.5);
  EXPECT_EQ(model.second.parameters()[1].tensor.array().item(1), before.item(25) - 2.5);
}

TEST(ParameterBlock, LeavesNothingBoundWhereItCantBeMade) {
  TwoLayers model;
  {
    ParameterBlock second(model.second);
    EXPECT_EQ(message_of([&] { ParameterBlock all(model); }),
              "[bind] this parameter's place is bound already");
    EXPECT_EQ(message_of([&] { ParameterBlock first(model.first); }), "no error");
    backward(sum(model.second.forward(Array::full({5, 4}, 1, DType::f64))));
    EXPECT_EQ(second.gradients().item(9), 5);  // still bound where it was
  }
  EXPECT_EQ(message_of([&] { ParameterBlock all(model); }), "no error");
}

// What is frozen is in no block: the others' gradients are what they were, and an optimizer moves them alone.
TEST(ParameterBlock, LeavesFrozenParametersOut) {
  TwoLayers model, all;
  model.eval();
  all.eval();
  Array x = Array::full({5, 3}, 1, DType::f64);
  ParameterBlock whole(all);
  backward(sum(all.forward(x)));
  model.first.freeze();
  ParameterBlock block(model);
  EXPECT_EQ(block.size(), 10);
  ASSERT_EQ(block.segments().size(), 2u);
  EXPECT_EQ(block.segments()[0].parameter.names[0], "second.weight");
  EXPECT_EQ(model.parameters().size(), 4u);  // they are still the model's
  backward(sum(model.forward(x)));
  EXPECT_EQ(block.gradients().to_vector<double>(), whole.gradients().rows(16, 26).to_vector<double>());
  EXPECT_GT(block.gradient_norm(), 0);  // and misses no parameter that the loss doesn't reach
  std::vector<double> first = model.first.weight().array().to_vector<double>(),
                      second = model.second.weight().array().to_vector<double>();
  AdamOptions decay;
  decay.weight_decay = 0.1;
  AdamW(block, decay).step(0.5);
  EXPECT_EQ(model.first.weight().array().to_vector<double>(), first);
  EXPECT_NE(model.second.weight().array().to_vector<double>(), second);
  EXPECT_EQ(message_of([&] { model.second.freeze(); }),
            "[freeze] this parameter's place is bound: freeze it before");
}

TEST(ParameterBlock, NeedsAParameterThatIsntFrozen) {
  TwoLayers model;
  model.freeze();
  EXPECT_EQ(message_of([&] { ParameterBlock block(model); }),
            "[parameter_block] the model has no parameters to train");
}

}  // namespace
}  // namespace bertie
