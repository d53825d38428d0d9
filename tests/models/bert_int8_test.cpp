// BERTs whose layers' products are in int8, beside the same in f32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bertie/autograd/memory.h"
#include "bertie/autograd/threads.h"
#include "bertie/models/bert_heads.h"
#include "tests/message_of.h"
#include "tests/models/names_in.h"
#include "tests/models/ragged_batch.h"
#include "tests/models/saved_model.h"
#include "tests/numbers.h"

namespace bertie {
namespace {

const std::vector<int64_t> int8_lengths{16, 1, 9, 2, 13, 16, 5};
constexpr int64_t int8_words = 300;

BertConfig int8_config(int64_t layers = 2) {
  BertConfig config = small_config(int8_words);
  config.num_hidden_layers = layers;
  config.hidden_size = 64;
  config.num_attention_heads = 4;
  config.intermediate_size = 256;
  return config;
}

// Weights as wide as those of base are at its own beginning: 0.02 · √768 = 0.07 · √64.
Initializer int8_weights() { return Initializer::normal(0.07, 3); }

struct EvaluatedBert : BertModel {
  explicit EvaluatedBert(int64_t layers = 2, Initializer init = int8_weights())
      : BertModel(int8_config(layers), init) {
    eval();
  }
  // The state behind so many layers.
  std::vector<double> state(const BertInput& input, int64_t layer = 2) const {
    NoGrad none;
    return numbers(hidden_state(input, layer).array());
  }
};

RaggedBatch int8_batch() { return {int8_lengths, int8_words, 5}; }

// The parts whose weights are in int8, which have no value left; the other way round, all others have.
std::vector<std::string> packed_parts(const Module& model) {
  std::vector<std::string> found;
  for (const Parameter& each : model.parameters())
    if (!each.tensor) found.push_back(each.names[0]);
  return found;
}

std::string layer_name(int64_t layer, const char* rest) {
  return fmt::format("encoder.layer.{}.{}", layer, rest);
}
std::vector<std::string> names_of_layer(int64_t layer) {
  return {layer_name(layer, "attention.self.query.weight"),
          layer_name(layer, "attention.output.dense.weight"), layer_name(layer, "intermediate.dense.weight"),
          layer_name(layer, "output.dense.weight")};
}

TEST(BertInInt8, TheProductsOfTheLayersAreRoundedAndNothingElse) {
  EvaluatedBert model, same;
  model.pack(Precision::int8);
  std::vector<std::string> expected = names_of_layer(0);
  for (const std::string& each : names_of_layer(1)) expected.push_back(each);
  EXPECT_EQ(packed_parts(model), expected);
  std::vector<Parameter> ours = model.parameters(), theirs = same.parameters();
  for (size_t i = 0; i < ours.size(); ++i) {
    if (!ours[i].tensor) continue;
    EXPECT_EQ(ours[i].tensor.dtype(), DType::f32);
    EXPECT_EQ(numbers(ours[i].tensor.array()), numbers(theirs[i].tensor.array())) << ours[i].names[0];
  }
  RaggedBatch batch = int8_batch();
  EXPECT_EQ(model.state(batch.input, 0), same.state(batch.input, 0));
  NoGrad none;
  Tensor state = same.last_hidden_state(batch.input);
  EXPECT_EQ(numbers(model.pooler_output(state, batch.input.pass.packing).array()),
            numbers(same.pooler_output(state, batch.input.pass.packing).array()));
}

TEST(BertInInt8, HeadsStayAsTheyAre) {
  BertForPreTraining pretraining(int8_config(), int8_weights());
  BertForSequenceClassification sequences(int8_config(), int8_weights());
  pretraining.bert().pack(Precision::int8);
  sequences.bert().pack(Precision::int8);
  for (const Module* model : std::initializer_list<const Module*>{&pretraining, &sequences}) {
    std::vector<std::string> found = packed_parts(*model);
    EXPECT_EQ(found.size(), 8u);
    for (const std::string& name : found) EXPECT_TRUE(name.starts_with("bert.encoder.layer.")) << name;
  }
}

TEST(BertInInt8, PartsAreNamed) {
  EXPECT_EQ(EvaluatedBert().parts(), (std::vector<std::string>{"0.attention", "0.intermediate", "0.output",
                                                               "1.attention", "1.intermediate", "1.output"}));
}

TEST(BertInInt8, WhatIsToBeKeptIsKept) {
  auto in_int8_without = [](const std::vector<std::string>& keep) {
    EvaluatedBert model(11);
    model.pack(Precision::int8, keep);
    return packed_parts(model);
  };
  std::vector<std::string> all = in_int8_without({});
  auto all_but = [&](std::vector<std::string> names) {
    std::vector<std::string> rest;
    std::copy_if(all.begin(), all.end(), std::back_inserter(rest), [&](const std::string& each) {
      return std::find(names.begin(), names.end(), each) == names.end();
    });
    EXPECT_EQ(rest.size() + names.size(), all.size());
    return rest;
  };
  EXPECT_EQ(in_int8_without({"1"}), all_but(names_of_layer(1)));  // and not layer 10
  EXPECT_EQ(in_int8_without({"10"}), all_but(names_of_layer(10)));
  EXPECT_EQ(in_int8_without({"0.output"}), all_but({layer_name(0, "output.dense.weight")}));
  EXPECT_EQ(in_int8_without({"3.attention"}), all_but({layer_name(3, "attention.self.query.weight"),
                                                       layer_name(3, "attention.output.dense.weight")}));
  EXPECT_EQ(in_int8_without({"3.intermediate", "3.intermediate", "10.output"}),
            all_but({layer_name(3, "intermediate.dense.weight"), layer_name(10, "output.dense.weight")}));
  EXPECT_EQ(in_int8_without({"0", "0.output"}), all_but(names_of_layer(0)));
}

// Layers before the first rounded one give the bits of f32, and what is rounded those of int8.
TEST(BertInInt8, KeptLayersComputeInF32) {
  RaggedBatch batch = int8_batch();
  EvaluatedBert f32, int8, first_kept, last_kept, all_kept;
  int8.pack(Precision::int8);
  first_kept.pack(Precision::int8, {"0"});
  last_kept.pack(Precision::int8, {"1"});
  all_kept.pack(Precision::int8, {"0", "1"});
  EXPECT_NE(int8.state(batch.input, 1), f32.state(batch.input, 1));
  EXPECT_EQ(first_kept.state(batch.input, 1), f32.state(batch.input, 1));
  EXPECT_NE(first_kept.state(batch.input), f32.state(batch.input));
  EXPECT_EQ(last_kept.state(batch.input, 1), int8.state(batch.input, 1));
  EXPECT_NE(last_kept.state(batch.input), int8.state(batch.input));
  EXPECT_EQ(all_kept.state(batch.input), f32.state(batch.input));
}

TEST(BertInInt8, UnknownNamesChangeNothing) {
  RaggedBatch batch = int8_batch();
  EvaluatedBert model;
  std::vector<double> before = model.state(batch.input);
  for (const char* unknown :
       {"2", "12", "x", "0.foo", "", "1.", "-1", "0.out", "0.output.dense", "01", " 0", ".", "0.outputs"}) {
    EXPECT_EQ(message_of([&] {
                model.pack(Precision::int8, {"0", unknown});
              }),
              fmt::format("[pack] there are the layers 0 … 1, and of each the parts attention, intermediate "
                          "and output, as 0.output; got '{}'",
                          unknown));
    EXPECT_EQ(packed_parts(model), std::vector<std::string>()) << unknown;
  }
  EXPECT_EQ(model.state(batch.input), before);
}

// The least cosine of a token's states.
double worst_cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 1;
  for (size_t token = 0; token < a.size() / 64; ++token) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 64 * token; i < 64 * (token + 1); ++i) {
      ab += a[i] * b[i];
      aa += a[i] * a[i];
      bb += b[i] * b[i];
    }
    worst = std::min(worst, ab / std::sqrt(aa * bb));
  }
  testing::Test::RecordProperty("worst_cosine", std::to_string(worst));
  return worst;
}

// Rounding moves a weight by up to 1/254 of its row's largest, and an activation by up to 1/510 of its row's
// range, at random: of sums of as many as here about 1 % is seen behind two layers, a cosine of 1 − 10⁻⁴ at
// worst. A row, column or scale that is mistaken moves it to below 0.99.
TEST(BertInInt8, HiddenStatesAreNearThoseOfF32) {
  RaggedBatch batch = int8_batch();
  EvaluatedBert f32, int8;
  int8.pack(Precision::int8);
  double cosine = worst_cosine(f32.state(batch.input), int8.state(batch.input));
  EXPECT_GE(cosine, 0.9998);
  EXPECT_LT(cosine, 1 - 1e-7);
}

// Of bf16 the numbers are those that it takes without: sums alone may come in another order.
TEST(BertInInt8, WeightsInBf16AreThoseOfBf16) {
  RaggedBatch batch = int8_batch();
  EvaluatedBert f32, bf16, packed;
  bf16.set_precision(Precision::bf16);
  packed.pack(Precision::packed_bf16);
  EXPECT_EQ(packed_parts(packed).size(), 8u);
  NoGrad none;
  EXPECT_EQ(packed.last_hidden_state(batch.input).dtype(), DType::bf16);
  EXPECT_EQ(packed.state(batch.input, 0), bf16.state(batch.input, 0));
  EXPECT_GE(worst_cosine(packed.state(batch.input), bf16.state(batch.input)), 0.99995);
  EXPECT_GE(worst_cosine(packed.state(batch.input), f32.state(batch.input)), 0.9999);
}

// In f32 nothing is rounded: of some hundred terms, sums in another order are off in the seventh digit.
TEST(BertInInt8, PackedInF32ItComputesWhatItDid) {
  RaggedBatch batch = int8_batch();
  EvaluatedBert f32, packed;
  packed.pack(Precision::packed_f32);
  EXPECT_EQ(packed_parts(packed).size(), 8u);
  EXPECT_EQ(packed.state(batch.input, 0), f32.state(batch.input, 0));
  std::vector<double> expected = f32.state(batch.input), found = packed.state(batch.input);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-5) << i;
}

TEST(BertInInt8, OtherPrecisionsAreRefused) {
  EvaluatedBert model;
  for (Precision other : {Precision::of_parameters, Precision::bf16})
    EXPECT_EQ(message_of([&] { model.pack(other); }), "[pack] is to packed_f32, packed_bf16 or int8");
}

TEST(BertInInt8, ATextGivesTheSameBitsInAnyBatch) {
  RaggedBatch batch = int8_batch();
  EvaluatedBert model;
  model.pack(Precision::int8);
  std::vector<double> together = model.state(batch.input);
  const std::vector<int64_t>& offsets = batch.input.pass.packing.offsets;
  for (size_t n = 0; n + 1 < offsets.size(); ++n) {
    int64_t begin = offsets[n], end = offsets[n + 1];
    BertInput alone{batch.input.ids.rows(begin, end),
                    batch.input.token_type_ids.rows(begin, end),
                    {{{0, end - begin}}, 0, 0}};
    EXPECT_EQ(model.state(alone),
              std::vector<double>(together.begin() + 64 * begin, together.begin() + 64 * end))
        << "text " << n;
  }
}

TEST(BertInInt8, AnyNumberOfThreadsGivesTheSameBits) {
  RaggedBatch batch(std::vector<int64_t>(30, 15), int8_words, 5);
  int before = thread_count();
  std::vector<double> expected;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    EvaluatedBert model;
    model.pack(Precision::int8);
    std::vector<double> state = model.state(batch.input);
    if (threads == 1) expected = state;
    EXPECT_EQ(state, expected) << threads;
  }
  set_thread_count(before);
}

TEST(BertInInt8, WeightsOfLayersTakeAThirdOfTheirMemory) {
  int64_t before = memory_counters().live_bytes;
  EvaluatedBert model(8);
  int64_t others = model.word_embeddings().array().bytes() + 17 * 64 * 4 * 4,
          f32 = memory_counters().live_bytes;
  model.pack(Precision::int8);
  int64_t after = memory_counters().live_bytes;
  EXPECT_LE(after - before, others + (f32 - before) / 3);
}

using QuantizedSavedModel = SavedModel;

TEST_F(QuantizedSavedModel, CantBeSavedAndLeavesTheOldOne) {
  std::set<std::string> names = names_in(path_);
  std::string weights = read_file(path_ + "/model.safetensors"), config = read_file(path_ + "/config.json");
  model_.bert().pack(Precision::int8, {"0"});
  std::string message =
      "[module] bert.encoder.layer.1.attention.self.query.weight has given its value up for a packed one, "
      "of which "
      "nothing can be saved";
  EXPECT_EQ(message_of([&] { save_pretrained(model_, small_tokenizer(), path_); }), message);
  EXPECT_EQ(names_in(path_), names);
  EXPECT_EQ(read_file(path_ + "/model.safetensors"), weights);
  EXPECT_EQ(read_file(path_ + "/config.json"), config);
  std::string other = folder_ / "other";
  EXPECT_EQ(message_of([&] { save_pretrained(model_, small_tokenizer(), other); }), message);
  EXPECT_TRUE(!std::filesystem::exists(other) || names_in(other).empty());
}

// What load_pretrained() gives is a mapped file's.
TEST_F(QuantizedSavedModel, ALoadedOneIsThatOfItsNumbers) {
  RaggedBatch batch({7, 3}, 12, 5);
  auto logits = [&](BertForMaskedLM& model) {
    NoGrad none;
    model.eval();
    model.bert().pack(Precision::int8);
    return numbers(model.logits(batch.input, batch.rows).array());
  };
  auto loaded = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_EQ(logits(*loaded.model), logits(model_));
}

}  // namespace
}  // namespace bertie
