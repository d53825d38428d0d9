// The whole small BERT and the next-word model against PyTorch
// (tests/models/reference/make_bert_reference.py, tests/models/reference/make_next_word_reference.py).
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "bertie/autograd/backward.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/next_word.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/training.h"
#include "bertie/ops/loss.h"
#include "tests/largest.h"
#include "tests/numbers.h"

namespace bertie {
namespace {

const std::string reference = std::string(BERTIE_SOURCE_DIR) + "/tests/models/reference/";

struct SmallBert {
  explicit SmallBert(DType type)
      : expected(read_safetensors(reference + "bert_small/expected.safetensors")),
        model(read_bert_config(reference + "bert_small/config.json"), Initializer::unset(type)) {
    EXPECT_TRUE(load_weights(model, read_weights(reference + "bert_small"), {type}).empty());
    Packing packing;
    packing.offsets = array("offsets").to_vector<int64_t>();
    input = {array("ids"), array("token_type_ids"), {packing}};
  }
  const Array& array(const std::string& name) const {
    const Array* found = expected.find(name);
    if (!found) throw Error("the reference has no " + name);
    return *found;
  }
  Tensor loss() const { return model.loss(model.logits(input, array("scored_rows")), array("labels")); }

  Safetensors expected;
  BertForMaskedLM model;
  BertInput input;
};

TEST(SmallBert, AgreesWithPyTorchInF64) {
  SmallBert bert(DType::f64);
  Tensor logits = bert.model.logits(bert.input, bert.array("scored_rows"));
  std::vector<double> expected_logits = numbers(bert.array("logits"));
  for (size_t i = 0; i < expected_logits.size(); ++i)
    ASSERT_NEAR(numbers(logits.array())[i], expected_logits[i], 1e-9 * std::abs(expected_logits[i]) + 1e-12)
        << i;
  Tensor hidden = bert.model.bert().last_hidden_state(bert.input);
  std::vector<double> expected_hidden = numbers(bert.array("last_hidden_state"));
  EXPECT_LE(largest_difference(numbers(hidden.array()), expected_hidden), 1e-9 * largest(expected_hidden));

  Tensor loss = bert.loss();
  EXPECT_NEAR(loss.item(), bert.array("loss").item(), 1e-9);
  backward(loss);
  double largest_of_all = 0;
  for (const NamedArray& tensor : bert.expected.tensors)
    if (tensor.name.starts_with("grad."))
      largest_of_all = std::max(largest_of_all, largest(numbers(tensor.array)));
  size_t compared = 0;
  for (const Parameter& parameter : bert.model.parameters()) {
    for (size_t i = 0; i < parameter.names.size(); ++i, ++compared) {
      std::vector<double> expected = numbers(bert.array("grad." + parameter.names[i]));
      // The part of the gradient that belongs to this name.
      std::vector<double> grad = numbers(parameter.tensor.grad());
      size_t size = grad.size() / parameter.names.size();
      grad = {grad.begin() + i * size, grad.begin() + (i + 1) * size};
      EXPECT_LE(largest_difference(grad, expected), 1e-9 * std::max(largest(expected), 1e-6 * largest_of_all))
          << parameter.names[i];
    }
  }
  size_t expected_count = 0;
  for (const NamedArray& tensor : bert.expected.tensors) expected_count += tensor.name.starts_with("grad.");
  EXPECT_EQ(compared, expected_count);
}

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(ParameterBlock&)>;

// 30 steps, in f64 to 1e-9, in f32 within 5 × the largest difference between PyTorch's f32 and f64.
void compare_run(const std::string& name, const Schedule& schedule, double max_gradient_norm,
                 const MakeOptimizer& make_optimizer) {
  for (DType type : {DType::f64, DType::f32}) {
    SmallBert bert(type);
    ParameterBlock parameters(bert.model);
    std::unique_ptr<Optimizer> optimizer = make_optimizer(parameters);
    TrainingOptions options;
    options.steps = 30;
    options.schedule = schedule;
    options.max_gradient_norm = max_gradient_norm;
    std::vector<double> losses;
    LossOfStep objective([&](int64_t) { return bert.loss(); });
    train(parameters, *optimizer, options, objective, [&](const StepReport& report) {
      losses.push_back(report.loss);
      return true;
    });
    std::vector<double> exact = numbers(bert.array("losses." + name + ".f64"));
    std::vector<double> single = numbers(bert.array("losses." + name + ".f32"));
    ASSERT_EQ(exact.size(), 30u);
    EXPECT_GT(exact.front() - exact.back(), 0.5);  // the run learns something
    double allowed = type == DType::f64 ? 1e-9 : 5 * largest_difference(single, exact);
    EXPECT_LE(largest_difference(losses, exact), allowed) << name << " in " << bertie::name(type);
  }
}

// The hyperparameters are those of tests/models/reference/bert_small/training.json.
TEST(SmallBert, TrainsWithAdamAsPyTorchDoes) {
  compare_run("adam", {1e-3, 0, Schedule::Decay::constant}, 0,
              [](ParameterBlock& parameters) { return std::make_unique<Adam>(parameters); });
}

TEST(SmallBert, TrainsWithAdamWAsPyTorchDoes) {
  compare_run("adamw", {2e-3, 5.0 / 30, Schedule::Decay::linear}, 1, [](ParameterBlock& parameters) {
    AdamOptions options;
    options.weight_decay = 0.01;
    return std::make_unique<AdamW>(parameters, options);
  });
}

TEST(SmallBert, TrainsWithMomentumAsPyTorchDoes) {
  compare_run("sgd", {1e-2, 0, Schedule::Decay::constant}, 0,
              [](ParameterBlock& parameters) { return std::make_unique<SGD>(parameters, 0.9); });
}

TEST(NextWord, TrainsAsPyTorchDoes) {
  Safetensors expected = read_safetensors(reference + "next_word.safetensors");
  for (DType type : {DType::f64, DType::f32}) {
    NextWordModel model(4, Initializer::unset(type));
    load_weights(model, expected, {type});
    ParameterBlock parameters(model);
    SGD optimizer(parameters);
    TrainingOptions options;
    options.steps = 100;
    options.schedule = {0.1, 0, Schedule::Decay::constant};
    options.max_gradient_norm = 0;
    std::vector<double> losses;
    LossOfStep objective([&](int64_t) {
      return cross_entropy(model.forward(*expected.find("inputs")), *expected.find("targets"));
    });
    train(parameters, optimizer, options, objective, [&](const StepReport& report) {
      losses.push_back(report.loss);
      return true;
    });
    ASSERT_EQ(losses.size(), 100u);
    EXPECT_LE(largest_difference(losses, numbers(*expected.find("losses.f64"))),
              type == DType::f64 ? 1e-12 : 1e-5);
  }
}

}  // namespace
}  // namespace bertie
