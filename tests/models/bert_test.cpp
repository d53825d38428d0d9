#include "bertie/models/bert.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/training.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/models/small_config.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

TEST(Bert, RefusesWrongInput) {
  BertForMaskedLM model(small_config(12), Initializer::unset());
  auto message = [&](std::vector<int32_t> ids, std::vector<int64_t> offsets) {
    return message_of([&] {
      model.logits({Array::from(ids), Array(), {{offsets}}}, Array::from(std::vector<int32_t>{0}));
    });
  };
  EXPECT_EQ(message({5, 12}, {0, 2}), "[embedding] ids must be in 0 … 11: id 12 at position 1");
  EXPECT_EQ(message({5, 6}, {0, 3}),
            "[bert] offsets must end at the number of tokens: 2 tokens, last offset 3");
  EXPECT_EQ(message({5, 6, 7}, {0, 2, 1, 3}), "[bert] offsets must not fall: 1 follows 2 at 2");
  EXPECT_EQ(message(std::vector<int32_t>(17, 5), {0, 17}),
            "[bert] sequence 0 has 17 tokens; max_position_embeddings is 16");
}

// Of a batch's fields each has its place in the input.
TEST(Bert, ABatchIsItsInput) {
  TokenBatch batch;
  batch.ids = Array::from(std::vector<int32_t>{5, 6, 7});
  batch.token_type_ids = Array::from(std::vector<int32_t>{0, 1, 1});
  batch.offsets = {0, 1, 3};
  batch.sequences = {8, 9};
  batch.first_sequence = 4;
  BertInput input = bert_input(batch, 11, 12);
  EXPECT_EQ(input.ids.to_vector<int32_t>(), (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(input.token_type_ids.to_vector<int32_t>(), (std::vector<int32_t>{0, 1, 1}));
  EXPECT_EQ(input.pass.packing.offsets, batch.offsets);
  EXPECT_EQ(input.pass.packing.first_sequence, 4);
  EXPECT_EQ(input.pass.seed, 11u);
  EXPECT_EQ(input.pass.step, 12u);
}

// LayerNorm(word + position + token type), by hand; without token types all are 0. A sequence may have all 16
// positions.
TEST(Bert, EmbeddingsAddWordPositionAndTokenType) {
  BertConfig config = small_config(12);
  Initializer init = Initializer::normal(0.3, 3, DType::f64);
  BertModel model(config, init, false);
  model.eval();
  auto table = [&](const std::string& name) {
    for (Parameter parameter : model.parameters())
      if (parameter.names[0] == "embeddings." + name + "_embeddings.weight") return parameter.tensor.array();
    throw Error("no " + name);
  };
  Array words = table("word"), positions = table("position"), types = table("token_type");
  std::vector<int32_t> ids, given;
  for (int32_t t = 0; t < 19; ++t) {
    ids.push_back(t * 5 % 12);
    given.push_back(t % 3 == 1);
  }
  const std::vector<int64_t> offsets{0, 3, 19};
  for (bool typed : {false, true}) {
    Array state =
        model.hidden_state({Array::from(ids), typed ? Array::from(given) : Array(), {{offsets}}}, 0).array();
    for (int64_t t = 0; t < 19; ++t) {
      std::vector<double> sum(32);
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < 32; ++i) {
        sum[i] = words.item(ids[t] * 32 + i) + positions.item((t < 3 ? t : t - 3) * 32 + i) +
                 types.item((typed ? given[t] : 0) * 32 + i);
        mean += sum[i] / 32;
      }
      for (double x : sum) variance += (x - mean) * (x - mean) / 32;
      for (int64_t i = 0; i < 32; ++i)
        ASSERT_NEAR(state.item(t * 32 + i), (sum[i] - mean) / std::sqrt(variance + 1e-12), 1e-12) << t;
    }
  }
}

// Each LayerNorm takes the configuration's epsilon, here 3: of numbers of mean 0 and variance v it makes v /
// (v + 3).
TEST(Bert, EveryLayerNormHasTheConfiguredEpsilon) {
  BertConfig config = small_config(12);
  config.num_hidden_layers = 1;
  config.layer_norm_eps = 3;
  BertForMaskedLM model(config, Initializer::normal(0.3, 3, DType::f64));
  model.eval();
  auto parameter = [&](const std::string& name) {
    for (Parameter each : model.parameters())
      if (each.names[0] == name) return each.tensor;
    throw Error("no " + name);
  };
  auto variance = [](const Array& array, int64_t row) {
    double sum = 0;
    for (int64_t i = 0; i < 32; ++i) sum += std::pow(array.item(row * 32 + i), 2) / 32;
    return sum;
  };
  const std::vector<int32_t> ids{5, 6, 7};
  BertInput input{Array::from(ids), Array(), {{{0, 3}}}};
  Array embeddings = model.bert().hidden_state(input, 0).array();
  for (int64_t t = 0; t < 3; ++t) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 32; ++i) {
      double x = parameter("bert.embeddings.word_embeddings.weight").array().item(ids[t] * 32 + i) +
                 parameter("bert.embeddings.position_embeddings.weight").array().item(t * 32 + i) +
                 parameter("bert.embeddings.token_type_embeddings.weight").array().item(i);
      sum += x;
      squares += x * x;
    }
    double v = squares / 32 - std::pow(sum / 32, 2);
    EXPECT_NEAR(variance(embeddings, t), v / (v + 3), 1e-12);
  }
  // Attention and the feed-forward part add nothing, so that the layer is two LayerNorms.
  for (const char* name :
       {"bert.encoder.layer.0.attention.output.dense.weight", "bert.encoder.layer.0.output.dense.weight"})
    parameter(name).replace(Array::zeros(parameter(name).shape(), DType::f64));
  Array state = model.bert().hidden_state(input, 1).array();
  for (int64_t t = 0; t < 3; ++t) {
    double v = variance(embeddings, t), after_attention = v / (v + 3);
    EXPECT_NEAR(variance(state, t), after_attention / (after_attention + 3), 1e-12);
  }
  // The head's comes last: with the identity for a decoder the logits are what it gives, of mean 0.
  config.vocab_size = 32;
  config.tie_word_embeddings = false;
  BertForMaskedLM untied(config, Initializer::normal(0.3, 3, DType::f64));
  untied.eval();
  Array identity = Array::zeros({32, 32}, DType::f64), transform;
  for (int64_t i = 0; i < 32; ++i) identity.mutable_data<double>()[i * 33] = 1;
  for (Parameter each : untied.parameters()) {
    if (each.names[0] == "cls.predictions.decoder.weight") each.tensor.replace(identity);
    if (each.names[0] == "cls.predictions.transform.dense.weight") transform = each.tensor.array();
  }
  Array last = untied.bert().last_hidden_state(input).array();
  Array logits = untied.logits(input, Array::from(std::vector<int32_t>{1})).array();
  double sum = 0, squares = 0;
  for (int64_t o = 0; o < 32; ++o) {
    double x = 0;
    for (int64_t i = 0; i < 32; ++i) x += transform.item(o * 32 + i) * last.item(32 + i);
    x = x / 2 * (1 + std::erf(x / std::sqrt(2)));
    sum += x;
    squares += x * x;
  }
  double v = squares / 32 - std::pow(sum / 32, 2);
  EXPECT_NEAR(variance(logits, 0), v / (v + 3), 1e-12);
}

TEST(Bert, PoolsTheFirstTokenOfEachSequence) {
  Initializer init = Initializer::normal(0.3, 3, DType::f64);
  BertModel model(small_config(12), init);
  Packing packing{{0, 2, 5}};
  Tensor hidden =
      model.last_hidden_state({Array::from(std::vector<int32_t>{5, 6, 7, 8, 9}), Array(), {packing}});
  Tensor pooled = model.pooler_output(hidden, packing);
  ASSERT_EQ(pooled.shape(), (Shape{2, 32}));
  std::vector<Parameter> parameters = model.parameters();
  const Parameter& weight = parameters[parameters.size() - 2];
  ASSERT_EQ(weight.names[0], "pooler.dense.weight");
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t i = 0; i < 32; ++i) {
      double sum = parameters.back().tensor.array().item(i);
      for (int64_t k = 0; k < 32; ++k)
        sum += weight.tensor.array().item(i * 32 + k) * hidden.array().item(packing.offsets[n] * 32 + k);
      EXPECT_NEAR(pooled.array().item(n * 32 + i), std::tanh(sum), 1e-12);
    }
  }
  EXPECT_EQ(message_of([&] {
              model.pooler_output(hidden, {{0, 0, 5}});
            }),
            "[pooler] sequence 0 is empty: it has no first token");
}

// Dropout, ragged batches, clipping: the same bytes on any number of threads.
TEST(Training, GivesTheSameBitsOnAnyNumberOfThreads) {
  TemporaryFolder folder;
  int threads = thread_count();
  std::vector<std::string> files;
  for (int count : {1, 2, 3}) {
    set_thread_count(count);
    BertConfig config = small_config(600);  // large enough that products are cut into tiles
    config.hidden_size = config.intermediate_size = 384;
    config.num_attention_heads = 6;
    config.num_hidden_layers = 1;
    config.max_position_embeddings = 128;
    BertForMaskedLM model(config, Initializer::normal(0.05, 3));
    ParameterBlock parameters(model);
    AdamW optimizer(parameters, {});
    TrainingOptions options;
    options.steps = 3;
    options.schedule = {1e-3};
    Random random(5);
    LossOfStep objective([&](int64_t step) {
      Packing packing;
      std::vector<int32_t> ids;
      std::vector<int64_t> rows;
      std::vector<int32_t> labels;
      for (int n = 0; n < 5; ++n) {
        for (uint64_t length = 20 + random.below(100); length > 0; --length)
          ids.push_back(static_cast<int32_t>(random.below(600)));
        packing.offsets.push_back(static_cast<int64_t>(ids.size()));
      }
      for (int64_t row = 3; row < packing.tokens(); row += 7) {
        rows.push_back(row);
        labels.push_back(static_cast<int32_t>(random.below(600)));
      }
      Pass pass{packing, 9, static_cast<uint64_t>(step)};
      return model.loss(model.logits({Array::from(ids), Array(), pass}, Array::from(rows)),
                        Array::from(labels));
    });
    train(parameters, optimizer, options, objective, [](const StepReport&) { return true; });
    files.push_back(folder.path() + "/" + std::to_string(count));
    save_weights(model, files.back());
  }
  set_thread_count(threads);
  EXPECT_EQ(read_file(files[0]), read_file(files[1]));
  EXPECT_EQ(read_file(files[0]), read_file(files[2]));
}

// With the embeddings and some layers frozen the others have the gradients that they have anyway.
TEST(Bert, FrozenLayersLeaveTheOthersGradients) {
  BertConfig config = small_config(12);  // with dropout
  auto input = [] {
    return BertInput{Array::from(std::vector<int32_t>{5, 6, 7, 8, 9}), Array(), {{{0, 3, 5}}, 3, 4}};
  };
  Array labels = Array::from(std::vector<int32_t>{1, 0});
  auto model = [&] {
    return std::make_unique<BertForSequenceClassification>(config, Initializer::normal(0.3, 3, DType::f64));
  };
  auto whole = model();
  backward(whole->loss(whole->logits(input()), labels));
  std::vector<Parameter> exact = whole->parameters();
  for (int64_t layers : {0, 1, 2}) {
    auto frozen = model();
    frozen->bert().freeze_layers(layers);
    ParameterBlock block(*frozen);
    backward(frozen->loss(frozen->logits(input()), labels));
    block.check_reached("test");
    std::vector<Parameter> parameters = frozen->parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].names[0];
      bool is_frozen = name.starts_with("bert.embeddings.");
      for (int64_t layer = 0; layer < layers; ++layer)
        is_frozen = is_frozen || name.starts_with(fmt::format("bert.encoder.layer.{}.", layer));
      EXPECT_EQ(parameters[i].tensor.requires_grad(), !is_frozen) << name;
      if (is_frozen) {
        EXPECT_FALSE(parameters[i].tensor.grad()) << name;
      } else {
        EXPECT_LE(largest_difference(parameters[i].tensor.grad().to_vector<double>(),
                                     exact[i].tensor.grad().to_vector<double>()),
                  1e-13)
            << name;
      }
    }
  }
  for (int64_t layers : {-1, 3})
    EXPECT_EQ(message_of([&] { model()->bert().freeze_layers(layers); }),
              fmt::format("[freeze] the model has 2 layers, asked for {}", layers));
}

}  // namespace
}  // namespace bertie
