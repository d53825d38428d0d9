// Operations with more than one convention in use, against PyTorch
// (tests/ops/reference/make_op_reference.py).
#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/backward.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/ops/attention.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layer_norm.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/softmax.h"

namespace bertie {
namespace {

class OpReference : public testing::Test {
 protected:
  const Array& array(const std::string& name) const {
    const Array* found = file_.find(name);
    if (!found) throw Error("the reference has no " + name);
    return *found;
  }
  void expect_equal(const Array& got, const std::string& name) const {
    const Array& expected = array(name);
    ASSERT_EQ(got.shape(), expected.shape()) << name;
    for (int64_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got.item(i), expected.item(i), 1e-12 * (1 + std::abs(expected.item(i))))
          << name << " " << i;
  }
  // Compares y = op(inputs) and the gradients of the inputs.
  template <class Op>
  void compare(const std::string& name, const std::vector<std::string>& inputs, Op op) const {
    std::vector<Tensor> in;
    for (const std::string& input : inputs)
      in.push_back(Tensor::parameter(array(name + "." + input).clone()));
    Tensor y = op(in);
    expect_equal(y.array(), name + ".y");
    backward(y, array(name + ".dy"));
    for (size_t i = 0; i < inputs.size(); ++i) expect_equal(in[i].grad(), name + ".d" + inputs[i]);
  }

  Safetensors file_ =
      read_safetensors(std::string(BERTIE_SOURCE_DIR) + "/tests/ops/reference/ops.safetensors");
};

using In = std::vector<Tensor>;

TEST_F(OpReference, Gelu) {
  compare("gelu_erf", {"x"}, [](const In& in) { return gelu(in[0]); });
  compare("gelu_tanh", {"x"}, [](const In& in) { return gelu_tanh(in[0]); });
}

TEST_F(OpReference, LayerNorm) {
  compare("layer_norm", {"x", "weight", "bias"},
          [](const In& in) { return layer_norm(in[0], in[1], in[2], 1e-12); });
}

TEST_F(OpReference, LogSoftmax) {
  compare("log_softmax", {"x"}, [](const In& in) { return log_softmax(in[0]); });
}

TEST_F(OpReference, CrossEntropy) {
  CrossEntropyOptions options;
  options.denominator = array("cross_entropy.denominator").item();
  options.label_smoothing = 0.1;
  compare("cross_entropy", {"x"},
          [&](const In& in) { return cross_entropy(in[0], array("cross_entropy.labels"), options); });
}

TEST_F(OpReference, Attention) {
  Packing packing;
  packing.offsets = array("attention.offsets").to_vector<int64_t>();
  compare("attention", {"qkv"}, [&](const In& in) { return attention(in[0], packing, 3, {}); });
}

}  // namespace
}  // namespace bertie
