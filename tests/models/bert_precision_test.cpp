// Small BERTs in bf16: their gradients against those of the same weights in f64, and their dropout.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/models/bert_heads.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/reduce.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/models/ragged_batch.h"
#include "tests/numbers.h"

namespace bertie {
namespace {

const std::vector<int64_t> ten_lengths{37, 5, 64, 18, 2, 29, 51, 11, 40, 23};
constexpr int64_t most_words = 700;

BertConfig precision_config(double dropout = 0) {
  BertConfig config;
  config.vocab_size = most_words;
  config.hidden_size = 128;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.intermediate_size = 512;
  config.max_position_embeddings = 64;
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout;
  return config;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double norm_of(const std::vector<double>& x) { return std::sqrt(dot(x, x)); }

// Of each of the tensors that files know. Weights are as wide as those of base are at its own beginning:
// 0.02 · √768 = 0.05 · √128.
template <class Head, class Loss>
void expect_gradients_of_f64(const BertConfig& config, Loss loss) {
  Head rounded(config, Initializer::normal(0.05, 3)), exact(config, Initializer::unset(DType::f64));
  rounded.set_precision(Precision::bf16);
  std::vector<Parameter> ours = rounded.parameters(), theirs = exact.parameters();
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) theirs[i].tensor.replace(ours[i].tensor.array().cast(DType::f64));
  Tensor rounded_loss = loss(rounded), exact_loss = loss(exact);
  EXPECT_EQ(rounded_loss.dtype(), DType::f32);
  EXPECT_NEAR(rounded_loss.item(), exact_loss.item(), 1e-3 * exact_loss.item());
  backward(rounded_loss);
  backward(exact_loss);
  double squares = 0;
  for (const Parameter& each : theirs) squares += std::pow(norm_of(numbers(each.tensor.grad())), 2);
  double whole = std::sqrt(squares), worst_cosine = 1, worst_norm = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i].tensor.grad().dtype(), DType::f32);
    Parameter rounded_gradient{ours[i].names, ours[i].tensor.grad()},
        exact_gradient{theirs[i].names, theirs[i].tensor.grad()};
    for (size_t part = 0; part < ours[i].names.size(); ++part) {
      const std::string& name = ours[i].names[part];
      std::vector<double> g = numbers(rounded_gradient.part(part)), x = numbers(exact_gradient.part(part));
      if (norm_of(x) <= 1e-12 * whole) {  // softmax doesn't see what is added to all: 0 but for rounding
        EXPECT_LE(norm_of(g), 1e-4 * whole) << name;
        continue;
      }
      double cosine = dot(g, x) / (norm_of(g) * norm_of(x)), ratio = norm_of(g) / norm_of(x);
      EXPECT_GE(cosine, 0.9995) << name;
      EXPECT_NEAR(ratio, 1, 0.01) << name;
      worst_cosine = std::min(worst_cosine, cosine);
      worst_norm = std::max(worst_norm, std::abs(ratio - 1));
    }
  }
  testing::Test::RecordProperty("worst_cosine", std::to_string(worst_cosine));
  testing::Test::RecordProperty("worst_norm", std::to_string(worst_norm));
}

TEST(BertInBf16, PreTrainingHasTheGradientsOfF64) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  expect_gradients_of_f64<BertForPreTraining>(precision_config(), [&](const auto& model) {
    return model.loss(model.logits(batch.input, batch.rows), batch.true_words, batch.labels);
  });
}

TEST(BertInBf16, SequenceClassificationHasTheGradientsOfF64) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  expect_gradients_of_f64<BertForSequenceClassification>(precision_config(), [&](const auto& model) {
    return model.loss(model.logits(batch.input), batch.labels);
  });
}

TEST(BertInBf16, TokenClassificationHasTheGradientsOfF64) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  BertConfig config = precision_config();
  config.labels = {"a", "b", "c"};
  expect_gradients_of_f64<BertForTokenClassification>(
      config, [&](const auto& model) { return model.loss(model.logits(batch.input), batch.tags); });
}

TEST(BertInBf16, QuestionAnsweringHasTheGradientsOfF64) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  expect_gradients_of_f64<BertForQuestionAnswering>(precision_config(), [&](const auto& model) {
    return model.loss(model.logits(batch.input), batch.input.pass.packing, batch.starts, batch.ends);
  });
}

// Where the embeddings drop is seen in their output, which is 0 there in either precision.
TEST(BertInBf16, EmbeddingsDropWhatTheyDropInF32) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  batch.input.pass.seed = 3;
  BertForPreTraining model(precision_config(0.3), Initializer::normal(0.05, 3));
  Array f32 = model.bert().hidden_state(batch.input, 0).array();
  model.set_precision(Precision::bf16);
  Array bf16 = model.bert().hidden_state(batch.input, 0).array();
  ASSERT_EQ(f32.dtype(), DType::f32);
  ASSERT_EQ(bf16.dtype(), DType::bf16);
  int64_t dropped = 0;
  for (int64_t i = 0; i < f32.size(); ++i) {
    ASSERT_EQ(f32.item(i) == 0, bf16.item(i) == 0) << i;
    ASSERT_NEAR(bf16.item(i), f32.item(i), 0x1p-7 * std::abs(f32.item(i)));  // rounded, scaled, rounded
    dropped += f32.item(i) == 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped), 0.3 * static_cast<double>(f32.size()), 500);
}

// Each kind of dropout of its own: other masks would change the hidden states by far more than rounding does.
TEST(BertInBf16, EveryDropoutDropsWhatItDropsInF32) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  for (bool hidden : {false, true}) {
    BertConfig config = precision_config();
    (hidden ? config.hidden_dropout_prob : config.attention_probs_dropout_prob) = 0.1;
    BertForPreTraining model(config, Initializer::normal(0.05, 3));
    auto states = [&](Precision precision, uint64_t step) {
      model.set_precision(precision);
      batch.input.pass.step = step;
      return numbers(model.bert().last_hidden_state(batch.input).array());
    };
    std::vector<double> f32 = states(Precision::of_parameters, 1), bf16 = states(Precision::bf16, 1),
                        others = states(Precision::of_parameters, 2);
    auto distance = [&](const std::vector<double>& x) {
      double squares = 0;
      for (size_t i = 0; i < x.size(); ++i) squares += std::pow(x[i] - f32[i], 2);
      return std::sqrt(squares) / norm_of(f32);
    };
    EXPECT_LT(distance(bf16), 0.01) << hidden;
    EXPECT_GT(distance(others), 0.03) << hidden;
  }
}

TEST(BertInBf16, TheLossWithDropoutIsNearThatOfF32) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  for (uint64_t step = 0; step < 5; ++step) {
    batch.input.pass.step = step;
    BertForPreTraining model(precision_config(0.1), Initializer::normal(0.05, 3));
    auto loss = [&] {
      return model.loss(model.logits(batch.input, batch.rows), batch.true_words, batch.labels).item();
    };
    double f32 = loss();
    model.set_precision(Precision::bf16);
    EXPECT_NEAR(loss(), f32, 2e-3 * f32) << step;
  }
}

// A batch's loss, and the gradients of all that is trained. Within KeepValues a layer keeps what it else
// computes again.
std::vector<double> loss_and_gradients(BertForPreTraining& model, bool keeps, bool rounds_logits = false) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  std::optional<KeepValues> guard;
  if (keeps) guard.emplace();
  BertForPreTraining::Logits logits =
      rounds_logits ? model.rounded_logits(batch.input, batch.rows) : model.logits(batch.input, batch.rows);
  Tensor loss = model.loss(logits, batch.true_words, batch.labels);
  std::vector<double> all{loss.item()};
  backward(loss);
  for (Parameter& each : model.parameters()) {
    if (!each.tensor.requires_grad()) continue;
    std::vector<double> own = numbers(each.tensor.grad());
    all.insert(all.end(), own.begin(), own.end());
    each.tensor.zero_grad();
  }
  return all;
}

// What layers compute again is, bit for bit, what they would have kept: with dropout and without, with each
// kind of activation, above frozen layers, on any number of threads. In f32 they keep it.
TEST(BertInBf16, WhatIsComputedAgainIsTheSame) {
  int before = thread_count();
  for (double dropout : {0.0, 0.1})
    for (const char* act : {"gelu", "gelu_new", "relu", "tanh"})
      for (int64_t frozen : {0, 1})
        for (Precision precision : {Precision::of_parameters, Precision::bf16}) {
          SCOPED_TRACE(fmt::format("dropout {}, {}, {} frozen, {}", dropout, act, frozen, name(precision)));
          BertConfig config = precision_config(dropout);
          config.hidden_act = act;
          BertForPreTraining model(config, Initializer::normal(0.05, 3));
          model.set_precision(precision);
          if (frozen > 0) model.bert().freeze_layers(frozen);
          set_thread_count(1);
          std::vector<double> kept = loss_and_gradients(model, true);
          EXPECT_EQ(loss_and_gradients(model, false), kept);
          set_thread_count(3);
          EXPECT_EQ(loss_and_gradients(model, false), kept);
        }
  set_thread_count(before);
}

// The same of what the activation takes, which layers compute again in long batches alone.
TEST(BertInBf16, WhatTheActivationTakesIsTheSameComputedAgain) {
  for (const char* act : {"gelu", "gelu_new", "relu"}) {
    BertConfig config = precision_config(0.1);
    config.hidden_act = act;
    Initializer init = Initializer::normal(0.05, 3);
    BertLayer layer(config, init);
    Tensor x = Tensor::parameter(normal({9, config.hidden_size}, 0, 1, 5, 1, DType::f32));
    auto gradients = [&](bool keeps_inner) {
      Tensor y = layer.forward(cast(x, DType::bf16), {{{0, 4, 9}}, 1, 2}, keeps_inner);
      std::vector<double> all = numbers(y.array());
      backward(sum(unrounded(y) * normal(y.shape(), 0, 1, 5, 2, DType::f32)));
      for (Parameter& each : layer.parameters())
        for (double gradient : numbers(each.tensor.grad())) all.push_back(gradient);
      for (double gradient : numbers(x.grad())) all.push_back(gradient);
      for (Parameter& each : layer.parameters()) each.tensor.zero_grad();
      x.zero_grad();
      return all;
    };
    EXPECT_EQ(gradients(false), gradients(true)) << act;
  }
}

TEST(BertInBf16, LongBatchesKeepWhatTheActivationTakesInTheLastLayers) {
  EXPECT_EQ(layers_keeping_inner(12, 1024, 3072), 12);
  EXPECT_EQ(layers_keeping_inner(12, 1025, 3072), 11);
  EXPECT_EQ(layers_keeping_inner(12, 4096, 3072), 3);
  EXPECT_EQ(layers_keeping_inner(12, 20'000, 3072), 0);
  EXPECT_EQ(layers_keeping_inner(4, 0, 3072), 4);
  BertConfig config = precision_config();
  config.hidden_size = 16;
  config.num_attention_heads = 2;
  config.intermediate_size = 8192;
  config.num_hidden_layers = 4;
  Initializer init = Initializer::normal(0.05, 3);
  BertModel model(config, init);
  model.set_precision(Precision::bf16);
  Array ids = Array::zeros({2048}, DType::i32);
  BertInput input{ids, ids, {{{0}}, 0, 0}};
  for (int64_t end = 32; end <= 2048; end += 32) input.pass.packing.offsets.push_back(end);
  int64_t inner = 2048 * 8192 * 2, before = memory_counters().live_bytes;
  Tensor state = model.last_hidden_state(input);
  // Two layers' of four, and some 4 MB besides: rounded weights, and what every layer keeps.
  EXPECT_NEAR(static_cast<double>(memory_counters().live_bytes - before), 2.1 * static_cast<double>(inner),
              0.1 * static_cast<double>(inner));
}

// Nothing is computed again from a parameter that has changed.
TEST(BertInBf16, AParameterThatChangesBeforeTheBackwardPassIsAnError) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  for (const char* name : {"attention.output.LayerNorm.bias", "intermediate.dense.weight",
                           "intermediate.dense.bias", "output.LayerNorm.weight"}) {
    BertForPreTraining model(precision_config(), Initializer::normal(0.05, 3));
    model.set_precision(Precision::bf16);
    Tensor loss = model.loss(model.logits(batch.input, batch.rows), batch.true_words, batch.labels);
    for (Parameter& each : model.parameters())
      if (each.names[0] == fmt::format("bert.encoder.layer.0.{}", name))
        each.tensor.mutable_array().fill_zero();
    EXPECT_NE(message_of([&] { backward(loss); }).find("was changed in place after its use"),
              std::string::npos)
        << name;
  }
}

// Logits in f32 are those in bf16, and their gradient is rounded once in either case.
TEST(BertInBf16, TheLossOfRoundedLogitsIsTheSame) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  for (Precision precision : {Precision::of_parameters, Precision::bf16}) {
    BertForPreTraining model(precision_config(0.1), Initializer::normal(0.05, 3));
    model.set_precision(precision);
    EXPECT_EQ(model.rounded_logits(batch.input, batch.rows).prediction_logits.dtype(),
              precision == Precision::bf16 ? DType::bf16 : DType::f32);
    EXPECT_EQ(loss_and_gradients(model, false, true), loss_and_gradients(model, false));
  }
}

// What is no activation keeps its type.
TEST(BertInBf16, ActivationsAreRoundedAndWhatComesOfThemIsNot) {
  RaggedBatch batch(ten_lengths, most_words, 5);
  BertForPreTraining model(precision_config(), Initializer::normal(0.05, 3));
  model.set_precision(Precision::bf16);
  for (int64_t layer = 0; layer <= 2; ++layer)
    EXPECT_EQ(model.bert().hidden_state(batch.input, layer).dtype(), DType::bf16) << layer;
  BertForPreTraining::Logits logits = model.logits(batch.input, batch.rows);
  EXPECT_EQ(logits.prediction_logits.dtype(), DType::f32);
  EXPECT_EQ(logits.seq_relationship_logits.dtype(), DType::f32);
  EXPECT_EQ(model.loss(logits, batch.true_words, batch.labels).dtype(), DType::f32);
  for (const Parameter& each : model.parameters()) EXPECT_EQ(each.tensor.dtype(), DType::f32);
  BertForSequenceClassification sequences(precision_config(), Initializer::normal(0.05, 3));
  BertForTokenClassification tokens(precision_config(), Initializer::normal(0.05, 3));
  BertForQuestionAnswering answers(precision_config(), Initializer::normal(0.05, 3));
  BertForMultipleChoice choices(precision_config(), Initializer::normal(0.05, 3));
  for (Module* each : std::initializer_list<Module*>{&sequences, &tokens, &answers, &choices})
    each->set_precision(Precision::bf16);
  EXPECT_EQ(sequences.logits(batch.input).dtype(), DType::f32);
  EXPECT_EQ(tokens.logits(batch.input).dtype(), DType::f32);
  EXPECT_EQ(answers.logits(batch.input).start_logits.dtype(), DType::f32);
  EXPECT_EQ(choices.logits(batch.input, 5).dtype(), DType::f32);
}

}  // namespace
}  // namespace bertie
