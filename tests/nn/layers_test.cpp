#include <gtest/gtest.h>

#include "bertie/nn/multi_head_attention.h"
#include "bertie/nn/sequential.h"
#include "bertie/ops/attention.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

TEST(Linear, WorksWithAndWithoutABias) {
  Initializer init = Initializer::fan_in(1, DType::f64);
  Linear with(3, 2, init), without(3, 2, init, false);
  EXPECT_EQ(with.weight().shape(), (Shape{2, 3}));
  EXPECT_EQ(with.bias().shape(), (Shape{2}));
  EXPECT_FALSE(without.bias());
  EXPECT_EQ(with.parameters().size(), 2u);
  EXPECT_EQ(without.parameters().size(), 1u);
  Tensor x = Array::from(std::vector<double>{1, -2, 3}, {1, 3});
  for (const Linear* layer : {&with, &without}) {
    Array y = layer->forward(x).array();
    for (int64_t i = 0; i < 2; ++i) {
      double sum = layer->bias() ? layer->bias().array().item(i) : 0;
      for (int64_t k = 0; k < 3; ++k) sum += layer->weight().array().item(i * 3 + k) * x.array().item(k);
      EXPECT_NEAR(y.item(i), sum, 1e-14);
    }
    Array of_gelu = layer->forward_of(Activation("gelu"), x).array();
    EXPECT_NEAR(of_gelu.item(), layer->forward(gelu(x)).array().item(), 1e-14);
  }
}

TEST(Sequential, AppliesItsLayersInOrderUnderTheirNames) {
  Initializer init = Initializer::fan_in(1, DType::f64);
  Sequential net;
  Tensor x = Array::full({5, 3}, 1, DType::f64);
  EXPECT_EQ(net.forward(x).array().storage(), x.array().storage());
  Linear& first = net.add<Linear>("first", 3, 4, init);
  net.add<Activation>("activation", "tanh");
  Dropout& dropout = net.add<Dropout>("dropout", 0.5);
  Linear& second = net.add<Linear>("second", 4, 2, init, false);
  std::vector<std::string> names;
  for (const Parameter& parameter : net.parameters()) names.push_back(parameter.names[0]);
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.bias", "second.weight"}));
  Pass pass = pass_of(5);
  Tensor expected = second.forward(dropout.forward(bertie::tanh(first.forward(x)), pass));
  EXPECT_EQ(net.forward(x, pass).array().to_vector<double>(), expected.array().to_vector<double>());
  net.eval();
  EXPECT_FALSE(dropout.training());
  EXPECT_EQ(message_of([&] { net.add<Activation>("first", "relu"); }),
            "[module] there is a child 'first' already");
  EXPECT_EQ(net.parameters().size(), 3u);
}

TEST(LayerNorm, StartsFromOneAndZero) {
  Initializer init = Initializer::fan_in(1, DType::f64);
  LayerNorm norm(2, 1e-30, init);
  Array y = norm.forward(Tensor(Array::from(std::vector<double>{1, 3}, {1, 2}))).array();
  EXPECT_NEAR(y.item(0), -1, 1e-14);
  EXPECT_NEAR(y.item(1), 1, 1e-14);
}

TEST(Activation, NamesWhatTheyCompute) {
  Tensor x = Array::from(std::vector<double>{-1.5, 0.5, 2}, {1, 3});
  Initializer init = Initializer::fan_in(1, DType::f64);
  Linear layer(3, 2, init);
  std::pair<const char*, Tensor> cases[] = {{"gelu", gelu(x)},
                                            {"gelu_new", gelu_tanh(x)},
                                            {"relu", relu(x)},
                                            {"tanh", bertie::tanh(x)},
                                            {"sigmoid", sigmoid(x)}};
  for (const auto& [name, expected] : cases) {
    Activation f(name);
    EXPECT_EQ(f.forward(x).array().to_vector<double>(), expected.array().to_vector<double>()) << name;
    for (int64_t i = 0; i < 2; ++i)
      EXPECT_NEAR(layer.forward_of(f, x).array().item(i), layer.forward(expected).array().item(i), 1e-14)
          << name;
  }
}

TEST(MultiHeadAttention, IsTheOperationBetweenTwoLinearMaps) {
  Initializer init = Initializer::fan_in(1, DType::f64);
  MultiHeadAttention layer({8, 2}, init);
  Tensor x = normal({5, 8}, 0, 1, 3, 0, DType::f64);
  Pass pass{{{0, 2, 5}}, 0, 0};
  std::vector<Parameter> p = layer.parameters();
  Tensor context = attention(linear(x, p[0].tensor, p[1].tensor), pass.packing, 2);
  Tensor expected = linear(context, p[2].tensor, p[3].tensor);
  EXPECT_EQ(layer.forward(x, pass).array().to_vector<double>(), expected.array().to_vector<double>());
  for (size_t part : {0, 1, 2})
    EXPECT_EQ(p[0].part(part).item(63), p[0].tensor.array().item(static_cast<int64_t>(part) * 64 + 63));
}

}  // namespace
}  // namespace bertie
