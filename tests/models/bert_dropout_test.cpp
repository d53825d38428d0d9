// Where BERT's body drops out and at which of its rates. All but what is looked at is set so that the
// embeddings or the layer are simple numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "bertie/models/bert_heads.h"
#include "tests/largest.h"
#include "tests/models/small_config.h"

namespace bertie {
namespace {

constexpr int64_t width = 32, heads = 4;
constexpr double hidden_rate = 0.25, attention_rate = 0.6;

// One layer, 1,024 sequences of two tokens, in train mode.
class BertDropout : public testing::Test {
 protected:
  static BertConfig config(double hidden, double attention) {
    BertConfig config = small_config(12);
    config.num_hidden_layers = 1;
    config.num_attention_heads = heads;
    config.hidden_dropout_prob = hidden;
    config.attention_probs_dropout_prob = attention;
    return config;
  }
  void make(double hidden, double attention) {
    Initializer init = Initializer::normal(0.3, 3, DType::f64);
    model_ = std::make_unique<BertModel>(config(hidden, attention), init, false);
  }
  void SetUp() override {
    std::vector<int32_t> ids;
    for (int32_t n = 0; n < 1024; ++n) {
      ids.push_back(5 + n % 7);
      ids.push_back(5 + n / 7 % 7);
      input_.pass.packing.offsets.push_back(2 * (n + 1));
    }
    input_.ids = Array::from(ids);
    input_.pass.seed = 5;
    make(hidden_rate, attention_rate);
  }
  // All numbers of a parameter become `value`.
  void set(const std::string& name, double value) {
    for (Parameter parameter : model_->parameters()) {
      for (const std::string& each : parameter.names) {
        if (each != name) continue;
        ASSERT_EQ(parameter.names.size(), 1u) << name;
        parameter.tensor.replace(Array::full(parameter.tensor.shape(), value, DType::f64));
        return;
      }
    }
    FAIL() << "no parameter is called " << name;
  }
  std::vector<double> layer(int64_t number) const {
    return model_->hidden_state(input_, number).array().to_vector<double>();
  }
  static void expect_share(double count, double of, double p) {
    EXPECT_NEAR(count / of, p, 4.5 * std::sqrt(p * (1 - p) / of));
  }
  // LayerNorm of 0 and c lifts c over the mean: the share of numbers below it is the rate.
  static void expect_rate(const std::vector<double>& values, double rate) {
    double dropped = 0;
    for (double value : values) dropped += value < 0;
    expect_share(dropped, static_cast<double>(values.size()), rate);
  }

  std::unique_ptr<BertModel> model_;
  BertInput input_;
};

// Last of all, so what is dropped is 0 and the rest is scaled.
TEST_F(BertDropout, EmbeddingsDropWhatTheyGive) {
  std::vector<double> trained = layer(0);
  model_->eval();
  std::vector<double> exact = layer(0);
  double dropped = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    dropped += trained[i] == 0;
    if (trained[i] != 0) {
      ASSERT_NEAR(trained[i], exact[i] / (1 - hidden_rate), 1e-12);
    }
  }
  expect_share(dropped, static_cast<double>(exact.size()), hidden_rate);
}

// The embeddings and the feed-forward part are 0, and attention gives its output's bias.
TEST_F(BertDropout, AttentionsOutputIsDroppedAtTheHiddenRate) {
  for (const char* zero : {"embeddings.LayerNorm.weight", "encoder.layer.0.attention.output.dense.weight",
                           "encoder.layer.0.output.dense.weight"})
    set(zero, 0);
  set("encoder.layer.0.attention.output.dense.bias", 1);
  expect_rate(layer(1), hidden_rate);
}

// The embeddings and attention are 0, and the feed-forward part gives its bias.
TEST_F(BertDropout, TheFeedForwardPartIsDroppedAtTheHiddenRate) {
  for (const char* zero : {"embeddings.LayerNorm.weight", "encoder.layer.0.attention.output.dense.weight",
                           "encoder.layer.0.output.dense.weight"})
    set(zero, 0);
  set("encoder.layer.0.output.dense.bias", 1);
  expect_rate(layer(1), hidden_rate);
}

// Without the other dropouts: what attends to both tokens in equal parts changes by whole halves, in one of 4
// ways.
TEST_F(BertDropout, ProbabilitiesAreDroppedAtTheAttentionRate) {
  make(0, attention_rate);
  std::vector<double> embeddings = layer(0), trained = layer(1);
  model_->eval();
  EXPECT_EQ(layer(0), embeddings);
  EXPECT_GT(largest_difference(layer(1), trained), 1e-3);
  model_->train();

  // Scores are all alike, each head sums its dropped halves of 1, and each output channel is a head's
  // channel.
  for (Parameter parameter : model_->parameters()) {
    std::string name = parameter.names.back();
    Shape shape = parameter.tensor.shape();
    Array value = Array::zeros(shape, DType::f64);
    if (name.ends_with("self.value.weight") || name.ends_with("embeddings.LayerNorm.weight")) {
    } else if (name.ends_with("self.value.bias")) {
      for (int64_t i = 2 * width; i < 3 * width; ++i) value.mutable_data<double>()[i] = 1;
    } else if (name.ends_with("attention.output.dense.weight")) {
      for (int64_t i = 0; i < width; ++i) value.mutable_data<double>()[i * width + i] = 1;
    } else if (!name.ends_with(".output.dense.weight")) {
      continue;
    }
    parameter.tensor.replace(value);
  }
  // LayerNorm of the four heads' numbers 0, 1 and 2 times 0.5 / (1 − rate): it is 0 where all are alike.
  std::vector<double> values = layer(1);
  double alike = 0, tokens = static_cast<double>(input_.ids.size());
  for (int64_t t = 0; t < input_.ids.size(); ++t)
    alike += std::abs(values[t * width]) < 1e-6 && std::abs(values[t * width + width / 4]) < 1e-6 &&
             std::abs(values[t * width + width / 2]) < 1e-6;
  double none = std::pow(attention_rate, 2), both = std::pow(1 - attention_rate, 2), one = 1 - none - both;
  expect_share(alike, tokens, std::pow(none, heads) + std::pow(one, heads) + std::pow(both, heads));
}

TEST_F(BertDropout, EvalModeAndRatesOf0DropNothing) {
  std::vector<double> trained = layer(1);
  model_->eval();
  std::vector<double> exact = layer(1);
  EXPECT_GT(largest_difference(exact, trained), 1e-3);
  make(0, 0);
  EXPECT_EQ(layer(1), exact);
}

// What is dropped is a function of seed, step and place in the step's batch, however it is cut into parts.
TEST_F(BertDropout, PartsOfAStepDropWhatTheWholeDoes) {
  std::vector<double> whole = layer(1);
  auto with = [&](uint64_t seed, uint64_t step, int64_t begin, int64_t end) {
    TokenBatch batch;
    batch.ids = input_.ids.rows(2 * begin, 2 * end);
    batch.offsets = {};
    for (int64_t n = begin; n <= end; ++n) batch.offsets.push_back(2 * (n - begin));
    batch.first_sequence = begin;
    return model_->last_hidden_state(bert_input(batch, seed, step)).array().to_vector<double>();
  };
  EXPECT_EQ(with(5, 0, 0, 1024), whole);
  std::vector<double> parts = with(5, 0, 0, 100), rest = with(5, 0, 100, 1024);
  parts.insert(parts.end(), rest.begin(), rest.end());
  EXPECT_LE(largest_difference(parts, whole), 1e-12 * largest(whole));
  EXPECT_GT(largest_difference(with(5, 1, 0, 1024), whole), 1e-3);
  EXPECT_GT(largest_difference(with(6, 0, 0, 1024), whole), 1e-3);
  EXPECT_GT(largest_difference(with(0, 5, 0, 1024), whole), 1e-3);
}

// classifier_dropout, or else the hidden states' rate. What the classifier gets is `input` everywhere and its
// weights are 1, so a logit, scaled back, counts the elements that are left.
template <class Head>
void expect_head_drops(BertConfig config, double input, const std::function<Array(const Head&)>& logits,
                       const std::function<void(double count, double of, double p)>& expect_share) {
  for (std::optional<double> own : {std::optional<double>(), std::optional(0.0), std::optional(0.75)}) {
    config.classifier_dropout = own;
    Head model(config, Initializer::unset(DType::f64));
    for (Parameter parameter : model.parameters()) {
      const std::string& name = parameter.names[0];
      bool one = name == "classifier.weight" || name == "bert.pooler.dense.bias" ||
                 name == "bert.encoder.layer.0.output.LayerNorm.bias";
      parameter.tensor.replace(Array::full(parameter.tensor.shape(), one ? 1 : 0, DType::f64));
    }
    double rate = own.value_or(config.hidden_dropout_prob), kept = 0, least = width, most = 0;
    Array scaled = logits(model);  // [rows, labels]: a row's logits count the same elements
    int64_t rows = scaled.shape()[0], labels = scaled.shape()[1];
    for (int64_t row = 0; row < rows; ++row) {
      double count = scaled.item(row * labels) * (1 - rate) / input;
      EXPECT_NEAR(count, std::round(count), 1e-9) << "a whole number of elements is left";
      kept += count, least = std::min(least, count), most = std::max(most, count);
    }
    if (rate == 0) {
      EXPECT_NEAR(least, width, 1e-9);
    } else {
      EXPECT_GT(most - least, 3) << "which elements are dropped is drawn for each row";
      expect_share(kept, static_cast<double>(width * rows), 1 - rate);
    }
  }
}

TEST_F(BertDropout, HeadsHaveTheirOwnRateOrTheHiddenOne) {
  BertConfig config = BertDropout::config(hidden_rate, attention_rate);
  expect_head_drops<BertForSequenceClassification>(
      config, std::tanh(1.0), [&](const auto& model) { return model.logits(input_).array(); }, expect_share);
  expect_head_drops<BertForTokenClassification>(
      config, 1, [&](const auto& model) { return model.logits(input_).array(); }, expect_share);
  expect_head_drops<BertForMultipleChoice>(
      config, std::tanh(1.0), [&](const auto& model) { return model.logits(input_, 1).array(); },
      expect_share);
}

}  // namespace
}  // namespace bertie
