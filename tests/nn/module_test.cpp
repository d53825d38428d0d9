#include <gtest/gtest.h>

#include <cmath>

#include "bertie/nn/multi_head_attention.h"
#include "bertie/nn/parameter_block.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

TEST(Module, NamesItsParametersInOrder) {
  TwoLayers model;
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters()) names.push_back(parameter.names[0]);
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.bias", "second.weight", "second.bias"}));
  std::string summary = model.summary();
  EXPECT_NE(summary.find("second.weight"), std::string::npos);
  EXPECT_NE(summary.find("[2, 4]"), std::string::npos);
  EXPECT_NE(summary.find("26"), std::string::npos);  // 12 + 4 + 8 + 2
}

TEST(Module, OneParameterMayHaveSeveralNames) {
  Initializer init = Initializer::normal(0.02, 1);
  MultiHeadAttention attention({8, 2}, init);
  std::vector<Parameter> parameters = attention.parameters();
  EXPECT_EQ(parameters[0].names, (std::vector<std::string>{"query.weight", "key.weight", "value.weight"}));
  EXPECT_EQ(parameters[0].tensor.shape(), (Shape{24, 8}));
  EXPECT_EQ(parameters[0].part(1).shape(), (Shape{8, 8}));
  EXPECT_EQ(parameters[0].part(1).item(), parameters[0].tensor.array().item(64));
}

TEST(Module, DropoutActsInTrainModeOnly) {
  TwoLayers model;
  Tensor x = Array::full({5, 3}, 1, DType::f64);
  auto values = [&](uint64_t step) { return model.forward(x, pass_of(5, step)).array().to_vector<double>(); };
  EXPECT_EQ(values(0), values(0));
  EXPECT_NE(values(0), values(1));
  model.eval();
  EXPECT_FALSE(model.training());
  EXPECT_EQ(values(0), values(1));
}

TEST(Module, RefusesWrongSizes) {
  Initializer init = Initializer::unset();
  EXPECT_EQ(message_of([&] {
              MultiHeadAttention({8, 3}, init);
            }),
            "[multi_head_attention] 3 heads don't divide the hidden size 8");
  EXPECT_EQ(message_of([&] { Dropout(1.5); }), "[dropout] the dropout rate must be in 0 … 1, got 1.5");
  EXPECT_EQ(message_of([&] { Activation("swish"); }),
            "[activation] must be gelu, gelu_new, relu, silu, tanh or sigmoid, got 'swish'");
  EXPECT_NE(message_of([&] { Linear(3, 4, init).forward(Array::zeros({2, 5}, DType::f32)); }), "no error");
}

// A module with one parameter each for the names given.
struct Named : Module {
  explicit Named(const std::vector<std::string>& names = {}) {
    for (const std::string& name : names) add(name);
  }
  Tensor add(const std::string& name) { return add_parameter(name, Array::full({2}, 1, DType::f64)); }
  void hold(const std::string& name, Module& child) { add_module(name, child); }
};

static_assert(!std::is_copy_constructible_v<TwoLayers> && !std::is_move_constructible_v<TwoLayers> &&
              !std::is_copy_assignable_v<TwoLayers> && !std::is_move_assignable_v<TwoLayers>);

TEST(Module, RefusesANameTwice) {
  Named parent({"weight"}), child, other;
  EXPECT_EQ(message_of([&] { parent.add("weight"); }), "[module] there is a parameter 'weight' already");
  EXPECT_EQ(message_of([&] { parent.hold("weight", child); }),
            "[module] there is a parameter 'weight' already");
  EXPECT_EQ(message_of([&] { parent.add(""); }), "[module] a parameter needs a name");
  EXPECT_EQ(message_of([&] { parent.hold("", child); }), "[module] a child needs a name");
  parent.hold("layer", child);
  EXPECT_EQ(message_of([&] { parent.hold("layer", other); }), "[module] there is a child 'layer' already");
  EXPECT_EQ(message_of([&] { parent.add("layer"); }), "[module] there is a child 'layer' already");
  // Dots within names: a + b.weight and a.b + weight.
  Named a({"b.weight"}), b({"weight"}), top;
  top.hold("a", a);
  top.hold("a.b", b);
  EXPECT_EQ(message_of([&] { top.parameters(); }), "[module] two parameters are called 'a.b.weight'");
}

TEST(Module, HasOneParentOnly) {
  Named first, second, child, grandchild;
  first.hold("child", child);
  child.hold("grandchild", grandchild);
  EXPECT_EQ(message_of([&] { first.hold("again", child); }),
            "[module] the child 'again' was added before, as 'child'");
  EXPECT_EQ(message_of([&] { second.hold("child", grandchild); }),
            "[module] the child 'child' was added before, as 'child.grandchild'");
  EXPECT_EQ(message_of([&] { grandchild.hold("first", first); }),
            "[module] the child 'first' can't hold its own parent");
  EXPECT_EQ(message_of([&] { second.hold("second", second); }),
            "[module] the child 'second' can't hold its own parent");
}

TEST(Module, ParentAndChildMayGoInEitherOrder) {
  Named child({"weight"});
  {
    Named parent;
    parent.hold("child", child);
    EXPECT_EQ(child.path(), "child");
  }
  EXPECT_EQ(child.path(), "");
  Named parent({"bias"});
  {
    Named gone({"weight"});
    parent.hold("gone", gone);
    EXPECT_EQ(parent.parameters().size(), 2u);
  }
  EXPECT_EQ(parent.parameters().size(), 1u);
  parent.hold("gone", child);
  EXPECT_EQ(parent.parameters()[1].names[0], "gone.weight");
}

// A model that uses a child which it forgot to add.
struct Forgetful : TwoLayers {
  Tensor forward(const Tensor& x, const Pass& pass = {}) const override {
    return forgotten.forward(TwoLayers::forward(x, pass));
  }
  Initializer init = Initializer::fan_in(2, DType::f64);
  Linear forgotten{2, 1, init};
};

TEST(Module, AChildThatNobodyAddedIsAnError) {
  Forgetful model;
  ParameterBlock block(model);
  Tensor x = Array::full({5, 3}, 1, DType::f64);
  Tensor loss = sum(model.forward(x, pass_of(5)));
  EXPECT_EQ(
      message_of([&] { backward(loss); }),
      "[backward] the loss reaches parameters of a module outside of the ParameterBlock: weight [1, 2], "
      "bias [1]. add_module() the child that holds them to its parent, or, if they are to stay as they "
      "are, compute with them within NoGrad");
  // Before any gradient was added.
  for (const Parameter& parameter : model.parameters()) EXPECT_FALSE(parameter.tensor.grad());
  for (const Parameter& parameter : model.forgotten.parameters()) EXPECT_FALSE(parameter.tensor.grad());
  // A gradient with respect to an input is none of a module, and may be asked for beside a block.
  Tensor input = Tensor::parameter(Array::full({5, 3}, 1, DType::f64));
  backward(sum(model.TwoLayers::forward(input, pass_of(5))));
  EXPECT_TRUE(input.grad());
  EXPECT_TRUE(model.first.parameters()[0].tensor.grad());
  // Without a block nobody trains, and all gradients are there to be seen.
  EXPECT_EQ(message_of([&] {
              backward(sum(model.forgotten.forward(Array::full({5, 2}, 1, DType::f64))));
            }),
            "no error");
}

TEST(Module, DropsAtItsPlaceInTheTree) {
  Named root, encoder, layer, leaf;
  root.hold("encoder", encoder);
  encoder.hold("layer.0", layer);
  EXPECT_EQ(root.path(), "");
  EXPECT_EQ(layer.path(), "encoder.layer.0");
  // FNV-1a's published values for "", "a" and "foobar".
  EXPECT_EQ(root.site(), 0xcbf29ce484222325u);
  Named a, foobar;
  root.hold("a", a);
  root.hold("foobar", foobar);
  EXPECT_EQ(a.site(), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(foobar.site(), 0x85944171f73967e8u);
  EXPECT_EQ(message_of([&] { leaf.site(); }),
            "[module] dropout depends on the module's place in its model: add_module() it to its parent");
  // One path twice would be one mask twice.
  Named outer, inner, dotted;
  root.hold("x", outer);
  outer.hold("y", inner);
  root.hold("x.y", dotted);
  EXPECT_EQ(message_of([&] { ParameterBlock block(root); }),
            "[module] the modules 'x.y' and 'x.y' would drop the same elements: rename one");
}

// What two dropouts of one model and step leave of ones.
struct TwoDropouts : Module {
  TwoDropouts() {
    add_module("one", one);
    add_module("other", other);
  }
  Dropout one{0.5}, other{0.5};
};

TEST(Module, EachDropoutDrawsAMaskOfItsOwn) {
  Tensor x = Array::full({5, 30}, 1, DType::f64);
  auto values = [&](const Dropout& dropout) {
    return dropout.forward(x, pass_of(5)).array().to_vector<double>();
  };
  TwoDropouts model, again;
  EXPECT_NE(values(model.one), values(model.other));
  EXPECT_EQ(values(model.one), values(again.one));
  Dropout lonely(0.5), never(0);
  EXPECT_EQ(message_of([&] { values(lonely); }),
            "[module] dropout depends on the module's place in its model: add_module() it to its parent");
  EXPECT_EQ(values(never), x.array().to_vector<double>());
  lonely.eval();
  EXPECT_EQ(values(lonely), x.array().to_vector<double>());
}

TEST(Module, AttentionDropsAtItsPlaceToo) {
  Initializer init = Initializer::normal(1, 1, DType::f64), same = Initializer::normal(1, 1, DType::f64);
  MultiHeadAttention one({8, 2, 0.5}, init), other({8, 2, 0.5}, same);
  Tensor x = normal({9, 8}, 0, 1, 3, 0, DType::f64);
  auto values = [&](const Layer& layer, uint64_t step = 0) {
    return layer.forward(x, pass_of(9, step)).array().to_vector<double>();
  };
  EXPECT_NE(message_of([&] { values(one); }).find("add_module()"), std::string::npos);
  Named root;
  root.hold("one", one);
  root.hold("other", other);
  EXPECT_EQ(values(one), values(one));
  EXPECT_NE(values(one), values(other));
  EXPECT_NE(values(one, 0), values(one, 1));
  root.eval();
  EXPECT_EQ(values(one), values(other));
}

// A token's result is the same whatever follows, and only there.
TEST(MultiHeadAttention, CausalSeesNothingThatFollows) {
  for (bool causal : {true, false}) {
    Initializer init = Initializer::normal(1, 1, DType::f64);
    MultiHeadAttention attention({.hidden_size = 8, .heads = 2, .causal = causal}, init);
    Array x = normal({9, 8}, 0, 1, 3, 0, DType::f64);
    std::vector<double> all = attention.forward(x, pass_of(9, 0)).array().rows(0, 4).to_vector<double>();
    std::vector<double> alone = attention.forward(x.rows(0, 4), pass_of(4, 0)).array().to_vector<double>();
    double difference = 0;
    for (size_t i = 0; i < all.size(); ++i) difference = std::max(difference, std::abs(all[i] - alone[i]));
    EXPECT_EQ(difference <= 1e-12, causal) << difference;
  }
}

TEST(Module, SwitchesItsChildrenToo) {
  Initializer init = Initializer::fan_in(1, DType::f64);
  Named root, middle;
  Linear leaf(2, 1, init);
  root.hold("middle", middle);
  middle.hold("leaf", leaf);
  EXPECT_EQ(root.parameters()[0].names[0], "middle.leaf.weight");
  EXPECT_TRUE(leaf.training());
  root.eval();
  EXPECT_FALSE(middle.training() || leaf.training());
  root.train();
  EXPECT_TRUE(middle.training() && leaf.training());
}

}  // namespace
}  // namespace bertie
