#include "bertie/nn/parameter_file.h"

#include <gtest/gtest.h>

#include "bertie/nn/multi_head_attention.h"
#include "bertie/nn/parameter_block.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

// A fused parameter (query, key and value) beside others.
struct Attentive : Module {
  explicit Attentive(Initializer init) : attention({4, 2}, init), last(4, 1, init) {
    add_module("attention", attention);
    add_module("last", last);
  }
  MultiHeadAttention attention;
  Linear last;
};

std::vector<std::vector<float>> values_of(const Module& model) {
  std::vector<std::vector<float>> values;
  for (const NamedArray& tensor : named_parameters(model)) values.push_back(tensor.array.to_vector<float>());
  return values;
}

class ParameterFile : public testing::Test {
 protected:
  // A file of these tensors.
  std::string file_of(const std::vector<NamedArray>& tensors) {
    write_safetensors(path_, tensors);
    return path_;
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "model.safetensors";
  Attentive model_{Initializer::fan_in(1)}, other_{Initializer::fan_in(2)};
};

TEST_F(ParameterFile, GivesBackWhatWasSaved) {
  save_parameters(model_, path_);
  Safetensors file = read_safetensors(path_);
  std::vector<std::string> names;
  for (const NamedArray& tensor : file.tensors) names.push_back(tensor.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "attention.query.weight", "attention.key.weight", "attention.value.weight",
                       "attention.query.bias", "attention.key.bias", "attention.value.bias",
                       "attention.output.weight", "attention.output.bias", "last.weight", "last.bias"}));
  EXPECT_EQ(file.find("attention.key.weight")->item(), model_.parameters()[0].tensor.array().item(16));
  ASSERT_NE(values_of(other_), values_of(model_));
  load_parameters(other_, path_);
  EXPECT_EQ(values_of(other_), values_of(model_));
  other_.parameters()[0].tensor.mutable_array().mutable_data<float>()[0] =
      7;  // it is no memory of the file's
}

TEST_F(ParameterFile, LoadsIntoABlockAndIntoAModelWithoutValues) {
  save_parameters(model_, path_);
  ParameterBlock block(other_);
  load_parameters(other_, path_);
  EXPECT_EQ(values_of(other_), values_of(model_));
  EXPECT_EQ(block.values().item(16), model_.parameters()[0].tensor.array().item(16));
  Attentive unset{Initializer::unset()};
  load_parameters(unset, path_);
  EXPECT_EQ(values_of(unset), values_of(model_));
  unset.parameters()[0].tensor.mutable_array().mutable_data<float>()[0] = 7;
}

TEST_F(ParameterFile, ListsWhatDoesntFitAndChangesNothing) {
  std::vector<NamedArray> tensors = named_parameters(model_);
  std::vector<std::vector<float>> before = values_of(other_);
  tensors.erase(tensors.begin() + 1);                   // the key's weight
  tensors[6].array = Array::zeros({4}, DType::f64);     // the output's bias
  tensors[7].array = Array::zeros({2, 4}, DType::f32);  // the last weight
  tensors.push_back({"stranger", Array::zeros({3}, DType::f32)});
  EXPECT_EQ(message_of([&] { load_parameters(other_, file_of(tensors)); }),
            "[load_parameters] " + path_ +
                " doesn't fit the model:\n"
                "  missing: attention.key.weight [4, 4]\n"
                "  wrong type: attention.output.bias is f64 [4], the model has f32 [4]\n"
                "  wrong shape: last.weight is f32 [2, 4], the model has f32 [1, 4]\n"
                "  left over: stranger [3]");
  EXPECT_EQ(values_of(other_), before);
  EXPECT_NE(message_of([&] { load_parameters(other_, folder_ / "none"); }).find("none"), std::string::npos);
}

}  // namespace
}  // namespace bertie
