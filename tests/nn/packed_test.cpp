// Modules whose weights are packed once and for all: in int8, rounded to bf16, or in f32.
#include <gtest/gtest.h>

#include "bertie/autograd/memory.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/nn/multi_head_attention.h"
#include "bertie/nn/parameter_block.h"
#include "bertie/nn/parameter_file.h"
#include "bertie/ops/attention.h"
#include "bertie/ops/cast.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

Initializer f32_weights() { return Initializer::fan_in(1); }

Tensor some_rows(int64_t tokens, int64_t width) {
  return normal({tokens, width}, 0, 1, 5, static_cast<uint64_t>(width), DType::f32);
}

TEST(PackedModules, ALinearComputesWithRoundedWeights) {
  Initializer init = f32_weights();
  for (bool with_bias : {true, false}) {
    Linear layer(30, 7, init, with_bias);
    Tensor x = some_rows(5, 30);
    PackedWeight weight(layer.weight().array(), DType::i8);
    Array f32 = layer.forward(x).array();
    layer.set_precision(Precision::int8);
    EXPECT_EQ(layer.precision(), Precision::int8);
    EXPECT_EQ(layer.forward(x).array().to_vector<float>(),
              linear(x, weight, layer.bias()).array().to_vector<float>());
    EXPECT_NE(layer.forward(x).array().to_vector<float>(), f32.to_vector<float>());
    for (const char* fused : {"gelu", "gelu_new"}) {
      InputFunction f = fused == std::string("gelu") ? InputFunction::gelu : InputFunction::gelu_tanh;
      EXPECT_EQ(layer.forward_of(Activation(fused), x).array().to_vector<float>(),
                linear(x, weight, layer.bias(), f).array().to_vector<float>());
    }
    EXPECT_EQ(layer.forward_of(Activation("relu"), x).array().to_vector<float>(),
              linear(relu(x), weight, layer.bias()).array().to_vector<float>());
    EXPECT_FALSE(layer.weight());
    EXPECT_EQ(static_cast<bool>(layer.bias()), with_bias);
  }
}

TEST(PackedModules, BothProductsOfAttentionAreRounded) {
  Initializer init = f32_weights();
  MultiHeadAttention layer({24, 3, 0, {"q", "k", "v", "o"}}, init);
  std::vector<Parameter> parameters = layer.parameters();
  ASSERT_EQ(parameters.size(), 4u);
  PackedWeight qkv(parameters[0].tensor.array(), DType::i8), output(parameters[2].tensor.array(), DType::i8);
  Tensor x = some_rows(9, 24), qkv_bias = parameters[1].tensor, output_bias = parameters[3].tensor;
  Pass pass{{{0, 4, 9}}, 0, 0};
  layer.eval();
  layer.set_precision(Precision::int8);
  Tensor context = attention(linear(x, qkv, qkv_bias), pass.packing, 3);
  EXPECT_EQ(layer.forward(x, pass).array().to_vector<float>(),
            linear(context, output, output_bias).array().to_vector<float>());
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(static_cast<bool>(parameters[i].tensor), i % 2 == 1) << parameters[i].names[0];
}

TEST(PackedModules, TheMemoryOfTheWeightIsFree) {
  Initializer init = f32_weights();
  int64_t before = memory_counters().live_bytes;
  Linear layer(1024, 512, init, false);
  EXPECT_GE(memory_counters().live_bytes - before, 4 * 1024 * 512);
  layer.set_precision(Precision::int8);
  EXPECT_LE(memory_counters().live_bytes - before, 1024 * 512 + 3 * 4 * 512);
}

TEST(PackedModules, OnceMoreChangesNothing) {
  Initializer init = f32_weights();
  Linear layer(30, 7, init);
  Tensor x = some_rows(5, 30);
  layer.set_precision(Precision::int8);
  std::vector<float> once = layer.forward(x).array().to_vector<float>();
  layer.set_precision(Precision::int8);
  EXPECT_EQ(layer.forward(x).array().to_vector<float>(), once);
}

// The numbers are gone.
TEST(PackedModules, ThereIsNoWayBack) {
  struct Way {
    Precision to, then;
    const char* message;
  };
  using enum Precision;
  for (Way way :
       {Way{int8, of_parameters, "i8 can't become f32"}, Way{int8, bf16, "i8 can't become bf16"},
        Way{int8, packed_bf16, "i8 can't become bf16"}, Way{int8, packed_f32, "i8 can't become f32"},
        Way{packed_bf16, int8, "bf16 can't become int8"},
        Way{packed_bf16, of_parameters, "bf16 can't become f32"},
        Way{packed_f32, int8, "f32 can't become int8"},
        Way{packed_f32, of_parameters, "f32 can't become f32"}, Way{int8, int8, nullptr},
        Way{packed_bf16, packed_bf16, nullptr}, Way{packed_f32, packed_f32, nullptr}}) {
    Initializer init = f32_weights();
    TwoLayers model(f32_weights());
    MultiHeadAttention layer({24, 3, 0, {"q", "k", "v", "o"}}, init);
    for (Module* each : std::initializer_list<Module*>{&model, &layer}) {
      each->set_precision(way.to);
      EXPECT_EQ(message_of([&] { each->set_precision(way.then); }),
                way.message ? fmt::format("[precision] a weight that was packed in {}: load the model anew",
                                          way.message)
                            : "no error");
    }
  }
}

// Of a model in bf16, whose activations are that.
TEST(PackedModules, WeightsMayBeRoundedToBf16OnceAndForAll) {
  Initializer init = f32_weights();
  Linear layer(30, 7, init);
  Tensor x = cast(some_rows(5, 30), DType::bf16);
  PackedWeight weight(layer.weight().array(), DType::bf16);
  layer.set_precision(Precision::packed_bf16);
  Tensor y = layer.forward(x), expected = linear(x, weight, layer.bias());
  EXPECT_EQ(y.dtype(), DType::bf16);
  EXPECT_EQ(y.array().cast(DType::f32).to_vector<float>(),
            expected.array().cast(DType::f32).to_vector<float>());
  EXPECT_FALSE(layer.weight());
}

// Sums come in another order than the libraries', of 30 terms.
TEST(PackedModules, InF32NumbersStayWhatTheyAre) {
  Initializer init = f32_weights();
  Linear layer(30, 7, init);
  Tensor x = some_rows(5, 30);
  PackedWeight weight(layer.weight().array(), DType::f32);
  Array before = layer.forward(x).array();
  layer.set_precision(Precision::packed_f32);
  Array y = layer.forward(x).array();
  EXPECT_EQ(y.to_vector<float>(), linear(x, weight, layer.bias()).array().to_vector<float>());
  for (int64_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y.item(i), before.item(i), 1e-6);
  EXPECT_FALSE(layer.weight());
}

TEST(PackedModules, OneOfAModelsPartsIsEnough) {
  TwoLayers model(f32_weights());
  model.eval();
  Tensor x = some_rows(5, 3);
  PackedWeight weight(model.second.weight().array(), DType::i8);
  Tensor h = bertie::tanh(model.first.forward(x));
  model.second.set_precision(Precision::int8);
  EXPECT_EQ(model.forward(x).array().to_vector<float>(),
            linear(h, weight, model.second.bias()).array().to_vector<float>());
  EXPECT_TRUE(model.first.weight());
}

TEST(PackedModules, OtherTypesAreRefused) {
  TwoLayers model;  // in f64
  EXPECT_EQ(message_of([&] { model.set_precision(Precision::int8); }),
            "[pack] a weight must be f32 [out, in], got f64 [4, 3]");
  EXPECT_TRUE(model.first.weight());
}

TEST(PackedModules, WhatIsLeftCantBeSaved) {
  TemporaryFolder folder;
  TwoLayers model(f32_weights());
  save_parameters(model, folder / "weights");
  std::string before = read_file(folder / "weights");
  model.second.set_precision(Precision::int8);
  std::string message =
      "[module] second.weight has given its value up for a packed one, of which nothing can be saved";
  EXPECT_EQ(message_of([&] { save_parameters(model, folder / "weights"); }), message);
  EXPECT_EQ(message_of([&] { save_parameters(model, folder / "others"); }), message);
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_EQ(read_file(folder / "weights"), before);
  EXPECT_EQ(message_of([&] { named_parameters(model); }), message);
  EXPECT_EQ(message_of([&] { model.summary(); }), message);
  EXPECT_EQ(message_of([&] { load_parameters(model, folder / "weights"); }), message);
  for (const Parameter& each : model.parameters())
    EXPECT_EQ(message_of([&] { each.part(0); }), each.names[0] == "second.weight" ? message : "no error");
}

TEST(PackedModules, EveryNameOfAPartIsTold) {
  Initializer init = f32_weights();
  MultiHeadAttention layer({24, 3, 0, {"q", "k", "v", "o"}}, init);
  layer.set_precision(Precision::int8);
  Parameter qkv = layer.parameters()[0];
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(message_of([&] { qkv.part(i); }),
              "[module] " + qkv.names[i] +
                  " has given its value up for a packed one, of which nothing can be saved");
}

TEST(PackedModules, NoBlockTrainsThem) {
  TwoLayers model(f32_weights());
  model.second.set_precision(Precision::int8);
  EXPECT_EQ(message_of([&] { ParameterBlock block(model); }),
            "[parameter_block] second.weight has given its value up and can't be trained");
  EXPECT_EQ(message_of([&] { backward(sum(model.forward(some_rows(5, 3), pass_of(5)))); }),
            "[linear] a weight that was packed once and for all has no gradient");
}

TEST(PackedModules, WhatABlockHoldsStaysAsItIs) {
  Initializer init = f32_weights();
  Linear layer(30, 7, init);
  ParameterBlock block(layer);
  Tensor x = some_rows(5, 30);
  std::vector<float> before = layer.forward(x).array().to_vector<float>();
  EXPECT_EQ(message_of([&] { layer.set_precision(Precision::int8); }),
            "[release] this parameter's place is bound");
  EXPECT_EQ(layer.precision(), Precision::of_parameters);
  EXPECT_TRUE(layer.weight());
  EXPECT_EQ(layer.forward(x).array().to_vector<float>(), before);
}

}  // namespace
}  // namespace bertie
