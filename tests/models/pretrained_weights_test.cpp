// Which tensors of a file become which parameters of a model, and what becomes of those that don't.
#include "bertie/models/pretrained.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bertie/data/files/safetensors.h"
#include "tests/message_of.h"
#include "tests/models/saved_model.h"

namespace bertie {
namespace {

std::vector<float> floats(const Array& array) { return array.to_vector<float>(); }

// The values of the parameter that bears this name, of a model in f32.
std::vector<float> values_of(const Module& model, const std::string& name) {
  for (Parameter parameter : model.parameters())
    for (size_t i = 0; i < parameter.names.size(); ++i)
      if (parameter.names[i] == name) return floats(parameter.part(i));
  throw Error("no parameter is called " + name);
}

// Every tensor of a file, whatever its name there and its type, is found again under its own name in the
// model.
TEST_F(SavedModel, EachTensorBecomesItsOwnParameter) {
  Safetensors file = read_weights(path_);
  ASSERT_EQ(file.tensors.size(), 5u + 2 * 16 + 5);
  for (bool old_names : {false, true}) {
    for (bool prefix : {false, true}) {
      for (DType type : {DType::f32, DType::f64}) {
        Safetensors other{"other", {}, {}};
        std::map<std::string, std::vector<float>> expected;
        for (const NamedArray& tensor : file.tensors) {
          std::string name = tensor.name;
          if (!prefix && name.starts_with("bert.")) name.erase(0, 5);
          if (old_names && name.ends_with("LayerNorm.weight")) name.replace(name.size() - 6, 6, "gamma");
          if (old_names && name.ends_with("LayerNorm.bias")) name.replace(name.size() - 4, 4, "beta");
          other.tensors.push_back({name, tensor.array.cast(type)});
          expected[tensor.name] = floats(other.tensors.back().array.cast(DType::f32));
        }
        std::reverse(other.tensors.begin(), other.tensors.end());
        BertForMaskedLM model(small_config(12), Initializer::unset());
        EXPECT_EQ(load_weights(model, other), std::vector<LoadNote>{});
        for (const auto& [name, values] : expected) EXPECT_EQ(values_of(model, name), values) << name;
      }
    }
  }
}

// And each parameter is written under its name: no two of this model's are alike.
TEST_F(SavedModel, EachParameterIsWrittenUnderItsName) {
  float next = 0;
  for (Parameter parameter : model_.parameters()) {
    Array values = Array::empty(parameter.tensor.shape(), DType::f32);
    for (int64_t i = 0; i < values.size(); ++i) values.mutable_data<float>()[i] = next++;
    parameter.tensor.replace(values);
  }
  save_weights(model_, path_ + "/model.safetensors");
  Safetensors file = read_weights(path_);
  size_t found = 0;
  for (Parameter parameter : model_.parameters()) {
    for (size_t i = 0; i < parameter.names.size(); ++i, ++found) {
      const Array* array = file.find(parameter.names[i]);
      ASSERT_TRUE(array) << parameter.names[i];
      EXPECT_EQ(floats(*array), floats(parameter.part(i))) << parameter.names[i];
    }
  }
  EXPECT_EQ(file.tensors.size(), found);
}

// Old files' buffers are no news; what else isn't used is told in few words, of types that bertie doesn't
// have, too.
TEST_F(SavedModel, WhatIsNotUsedIsNamed) {
  Safetensors file = read_weights(path_);
  Array row = Array::zeros({1, 16}, DType::i64);
  for (const char* name : {"bert.embeddings.position_ids", "embeddings.token_type_ids"})
    file.tensors.push_back({name, row});
  EXPECT_EQ(load_weights(model_, file), std::vector<LoadNote>{});
  file.tensors.push_back({"cls.seq_relationship.bias", row});
  file.unsupported = {"bits"};
  EXPECT_EQ(load_weights(model_, file),
            (std::vector<LoadNote>{{"Not used by this model: 2 tensors (bits, cls)", {}}}));
  // However many there are, the note fits a line.
  for (int i = 0; i < 100; ++i) file.tensors.push_back({fmt::format("bert.{}.weight", i), row});
  file.unsupported.push_back(std::string(500, 'a'));
  EXPECT_EQ(load_weights(model_, file),
            (std::vector<LoadNote>{{"Not used by this model: 103 tensors (0, 1, 10, …)", {}}}));
}

// A decoder of its own has its bias under two names, and transformers computes with the decoder's.
TEST_F(SavedModel, AnUntiedDecodersBiasHasTwoNames) {
  BertConfig config = small_config(12);
  config.tie_word_embeddings = false;
  BertForMaskedLM untied(config, Initializer::normal(0.1, 4));
  for (Parameter parameter : untied.parameters())
    if (parameter.names[0] == "cls.predictions.bias")
      parameter.tensor.replace(normal({12}, 0, 1, 9, 0, DType::f32));
  save_pretrained(untied, small_tokenizer(), path_);
  Safetensors file = read_weights(path_);
  std::vector<float> bias = values_of(untied, "cls.predictions.bias");
  for (const char* name : {"cls.predictions.bias", "cls.predictions.decoder.bias"}) {
    ASSERT_TRUE(file.find(name)) << name;
    EXPECT_EQ(floats(*file.find(name)), bias) << name;
  }
  auto read = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_FALSE(read.model->config().tie_word_embeddings);
  EXPECT_EQ(values_of(*read.model, "cls.predictions.decoder.weight"),
            values_of(untied, "cls.predictions.decoder.weight"));
  for (bool reversed : {false, true}) {
    for (NamedArray& tensor : file.tensors)
      if (tensor.name == "cls.predictions.bias") tensor.array = Array::zeros({12}, DType::f32);
    if (reversed) std::reverse(file.tensors.begin(), file.tensors.end());
    BertForMaskedLM model(config, Initializer::unset());
    EXPECT_EQ(load_weights(model, file), std::vector<LoadNote>{});
    EXPECT_EQ(values_of(model, "cls.predictions.bias"), bias);
  }
}

// Of model.safetensors and an index of shards the former is the model.
TEST_F(SavedModel, ShardsAreReadWhereThereIsNoWholeFile) {
  Safetensors file = read_weights(path_);
  std::vector<NamedArray> parts[2];
  std::string map;
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    size_t shard = i % 3 == 0;  // query, key and value are in different files
    parts[shard].push_back({file.tensors[i].name, file.tensors[i].array.clone()});
    map += fmt::format("{}\"{}\": \"model-0000{}-of-00002.safetensors\"", i ? ", " : "", file.tensors[i].name,
                       shard + 1);
  }
  for (size_t shard : {0, 1})
    write_safetensors(fmt::format("{}/model-0000{}-of-00002.safetensors", path_, shard + 1), parts[shard]);
  std::ofstream(path_ + "/model.safetensors.index.json") << "{\"weight_map\": {" << map << "}}";
  auto expect_weights = [&](const Module& model) {
    for (Parameter parameter : model_.parameters())
      for (size_t i = 0; i < parameter.names.size(); ++i)
        EXPECT_EQ(values_of(model, parameter.names[i]), floats(parameter.part(i))) << parameter.names[i];
  };
  std::vector<float> words = values_of(model_, "bert.embeddings.word_embeddings.weight");
  std::filesystem::rename(path_ + "/model.safetensors", path_ + "/whole");
  expect_weights(*load_pretrained<BertForMaskedLM>(path_).model);
  std::filesystem::rename(path_ + "/whole", path_ + "/model.safetensors");
  std::ofstream(path_ + "/model-00001-of-00002.safetensors") << "broken";
  expect_weights(*load_pretrained<BertForMaskedLM>(path_).model);
}

// Drawn from N(0, initializer_range), each parameter from numbers of its own.
TEST_F(SavedModel, ANewHeadStartsAsTheConfigurationSays) {
  replace_in(path_ + "/config.json", "\"initializer_range\": 0.02", "\"initializer_range\": 0.5");
  auto read = load_pretrained<BertForSequenceClassification>(path_, {DType::f32, true});
  std::vector<float> pooler = values_of(*read.model, "bert.pooler.dense.weight");
  double squares = 0;
  for (float value : pooler)
    squares += static_cast<double>(value) * value / static_cast<double>(pooler.size());
  EXPECT_NEAR(std::sqrt(squares), 0.5, 4.5 * 0.5 / std::sqrt(2 * 1024));
  std::vector<float> classifier = values_of(*read.model, "classifier.weight");
  EXPECT_NE(std::vector<float>(pooler.begin(), pooler.begin() + static_cast<int64_t>(classifier.size())),
            classifier);
  EXPECT_EQ(values_of(*read.model, "bert.pooler.dense.bias"), std::vector<float>(32, 0));
}

TEST_F(SavedModel, ANewHeadIsMadeOnlyWhenAsked) {
  std::string message = message_of([&] { load_pretrained<BertForSequenceClassification>(path_); });
  EXPECT_NE(message.find("missing: bert.pooler.dense.weight [32, 32]"), std::string::npos) << message;
  EXPECT_NE(message.find("missing: classifier.bias [2]\nOnly the head is missing; --allow-new-head"),
            std::string::npos)
      << message;
  auto read = load_pretrained<BertForSequenceClassification>(path_, {DType::f32, true});
  ASSERT_EQ(read.notes.size(), 2u);
  EXPECT_EQ(read.notes[0].str(),
            "Not in the weights, so started at random: bert.pooler.dense.weight bert.pooler.dense.bias "
            "classifier.weight classifier.bias");
  EXPECT_NE(read.notes[1].text.find(" tensors (cls)"), std::string::npos);
  for (const Parameter& parameter : read.model->parameters()) {
    std::vector<float> values = parameter.tensor.array().to_vector<float>();
    double squares = 0;
    for (float value : values)
      squares += static_cast<double>(value) * value / static_cast<double>(values.size());
    if (parameter.names[0] == "classifier.bias") {
      EXPECT_EQ(squares, 0);
    }
    if (parameter.names[0] == "bert.pooler.dense.weight") {
      EXPECT_NEAR(std::sqrt(squares), 0.02, 0.002);
    }
  }
  // Nor does a new head help where something else is wrong.
  Safetensors weights = read_weights(path_);
  weights.tensors[0].array = Array::zeros(weights.tensors[0].array.shape(), DType::i32);
  std::string first = weights.tensors[0].name;
  ASSERT_EQ(first, "bert.embeddings.word_embeddings.weight");
  for (bool allowed : {false, true}) {
    message = message_of([&] { load_weights(*read.model, weights, {DType::f32, allowed}); });
    EXPECT_NE(message.find("\n  wrong type: " + first + " is i32 [12, 32], the model has f32 [12, 32]"),
              std::string::npos)
        << message;
    EXPECT_NE(message.find("\n  missing: classifier.bias [2]\n  wrong type"), std::string::npos) << message;
    EXPECT_EQ(message.find("--allow-new-head"), std::string::npos) << message;
  }
  // A layer of the encoder is no head.
  replace_in(path_ + "/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  message = message_of([&] { load_pretrained<BertForMaskedLM>(path_, {DType::f32, true}); });
  EXPECT_NE(message.find("missing: bert.encoder.layer.2."), std::string::npos) << message;
  EXPECT_EQ(message.find("--allow-new-head"), std::string::npos) << message;
}

// What fine-tuning does: the encoder of a directory beneath a head that is new, even where the directory has
// one of the same name and shape, or one that wouldn't fit.
TEST_F(SavedModel, AHeadIsReplacedWhereAsked) {
  BertConfig config = small_config(12);
  config.labels = {"x", "y", "z"};
  BertForTokenClassification tagger(config, Initializer::normal(0.5, 8));
  save_pretrained(tagger, small_tokenizer(), path_);
  BertForSequenceClassification classifier(config, Initializer::normal(0.5, 9));
  PretrainedOptions replacing{.replace_head = true};
  for (bool has_pooler : {false, true}) {
    if (has_pooler) save_pretrained(classifier, small_tokenizer(), path_);
    for (int64_t labels : {3, 2}) {
      replacing.configure = [&](BertConfig& of_directory) { of_directory.labels.resize(labels); };
      auto read = load_pretrained<BertForSequenceClassification>(path_, replacing);
      EXPECT_EQ(read.model->config().num_labels(), labels);
      const Module& body = has_pooler ? static_cast<const Module&>(classifier) : tagger;
      std::string words = "bert.embeddings.word_embeddings.weight";
      EXPECT_EQ(values_of(*read.model, words), values_of(body, words));
      if (has_pooler) {  // it was trained with the encoder, so it stays
        EXPECT_EQ(values_of(*read.model, "bert.pooler.dense.weight"),
                  values_of(body, "bert.pooler.dense.weight"));
      }
      std::vector<float> head = values_of(*read.model, "classifier.weight");
      ASSERT_EQ(head.size(), static_cast<size_t>(32 * labels));
      double squares = 0;
      for (float value : head)
        squares += static_cast<double>(value) * value / static_cast<double>(head.size());
      EXPECT_NEAR(std::sqrt(squares), 0.02, 4.5 * 0.02 / std::sqrt(2 * 64.0));
      EXPECT_EQ(values_of(*read.model, "classifier.bias"), std::vector<float>(labels, 0));
      ASSERT_EQ(read.notes.size(), 1u);  // nothing of the old head
      EXPECT_EQ(read.notes[0].str(),
                fmt::format("Not in the weights, so started at random: {}classifier.weight classifier.bias",
                            has_pooler ? "" : "bert.pooler.dense.weight bert.pooler.dense.bias "));
    }
  }
  // Without that the directory's head is used, and must fit.
  auto kept = load_pretrained<BertForSequenceClassification>(path_);
  EXPECT_EQ(values_of(*kept.model, "classifier.weight"), values_of(classifier, "classifier.weight"));
  PretrainedOptions keeping{.configure = [](BertConfig& of_directory) { of_directory.labels.resize(2); }};
  EXPECT_NE(message_of([&] {
              load_pretrained<BertForSequenceClassification>(path_, keeping);
            }).find("wrong shape: classifier.weight is f32 [3, 32], the model has f32 [2, 32]"),
            std::string::npos);
  // A head of a type that isn't read is none the less replaced; a missing layer is no head.
  Safetensors weights = read_weights(path_);
  std::erase_if(weights.tensors, [](const NamedArray& t) { return t.name == "classifier.weight"; });
  weights.unsupported = {"classifier.weight"};
  EXPECT_EQ(message_of([&] { load_weights(*kept.model, weights, replacing); }), "no error");
  std::erase_if(weights.tensors,
                [](const NamedArray& t) { return t.name == "bert.encoder.layer.1.output.dense.bias"; });
  EXPECT_NE(message_of([&] {
              load_weights(*kept.model, weights, replacing);
            }).find("missing: bert.encoder.layer.1.output.dense.bias"),
            std::string::npos);
}

TEST_F(SavedModel, TheSeedDecidesHowANewHeadStarts) {
  auto head_of = [&](uint64_t seed) {
    auto read = load_pretrained<BertForSequenceClassification>(path_, {.replace_head = true, .seed = seed});
    return values_of(*read.model, "classifier.weight");
  };
  EXPECT_EQ(head_of(3), head_of(3));
  EXPECT_NE(head_of(3), head_of(4));
}

TEST_F(SavedModel, TheConfigurationMayBeChangedBeforeTheModelIsMade) {
  PretrainedOptions options{.configure = [](BertConfig& config) {
    EXPECT_EQ(config.hidden_dropout_prob, 0.1);
    config.hidden_dropout_prob = 0.75;
  }};
  auto read = load_pretrained<BertForMaskedLM>(path_, options);
  EXPECT_EQ(read.model->config().hidden_dropout_prob, 0.75);
  EXPECT_EQ(read.model->config().architecture, "BertForMaskedLM");
  options.configure = [](BertConfig& config) { config.hidden_dropout_prob = 2; };
  EXPECT_NE(message_of([&] { load_pretrained<BertForMaskedLM>(path_, options); }), "no error");
}

// A BertModel's file has no prefix, a head's has one; either serves both.
TEST_F(SavedModel, ThePrefixMayBeThereOrNot) {
  auto bare = load_pretrained<BertModel>(path_, {}, /*with_pooler=*/false);
  EXPECT_EQ(bare.model->parameters()[0].names[0], "embeddings.word_embeddings.weight");
  save_pretrained(*bare.model, bare.tokenizer, path_ + "/bare");
  auto again = load_pretrained<BertForMaskedLM>(path_ + "/bare", {DType::f32, true});
  EXPECT_EQ(again.model->bert().word_embeddings().array().to_vector<float>(),
            model_.bert().word_embeddings().array().to_vector<float>());
  Safetensors file = read_weights(path_);
  file.tensors.push_back({"embeddings.word_embeddings.weight", file.tensors[0].array});
  EXPECT_EQ(message_of([&] { load_weights(*bare.model, file); }),
            "[load] " + path_ + "/model.safetensors has the same tensor as " +
                "bert.embeddings.word_embeddings.weight and as embeddings.word_embeddings.weight");
}

// DataParallel, sentence-transformers, torch.compile and others put something before all names.
TEST_F(SavedModel, AForeignPrefixIsLeftAway) {
  Safetensors file = read_weights(path_);
  auto renamed = [&](const std::string& prefix, bool own) {
    std::vector<NamedArray> tensors = file.tensors;
    for (NamedArray& tensor : tensors) {
      if (!own && tensor.name.starts_with("bert.")) tensor.name.erase(0, 5);
      tensor.name = prefix + tensor.name;
    }
    tensors.push_back({"steps", Array::zeros({1}, DType::i64)});
    return Safetensors{"other", tensors, {}, {}};
  };
  std::vector<float> words = values_of(model_, "bert.embeddings.word_embeddings.weight");
  for (std::string prefix : {"module.", "0.auto_model.", "model.module.", "_orig_mod.", "notbert."}) {
    for (bool own : {true, false}) {
      BertForMaskedLM model(small_config(12), Initializer::unset());
      EXPECT_EQ(
          load_weights(model, renamed(prefix, own)),
          (std::vector<LoadNote>{{"The weights' names begin with '" + prefix + "', which is left away", {}},
                                 {"Not used by this model: 1 tensor (steps)", {}}}));
      EXPECT_EQ(values_of(model, "bert.embeddings.word_embeddings.weight"), words);
      EXPECT_EQ(values_of(model, "cls.predictions.bias"), values_of(model_, "cls.predictions.bias"));
    }
  }
  // In a directory, too, where a decoder of its own is found behind the prefix.
  std::vector<NamedArray> tensors = renamed("module.", true).tensors;
  tensors.push_back({"module.cls.predictions.decoder.weight", Array::full({12, 32}, 1, DType::f32)});
  write_safetensors(path_ + "/model.safetensors", tensors);
  auto read = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_FALSE(read.model->config().tie_word_embeddings);
  EXPECT_EQ(read.notes.size(), 3u);
  // Of several models nobody can tell which is meant.
  Safetensors two = renamed("query.", true);
  for (const NamedArray& tensor : renamed("text.", true).tensors)
    if (tensor.name != "steps") two.tensors.push_back(tensor);
  std::string message = message_of([&] { load_weights(model_, two); });
  EXPECT_NE(message.find("\nThe file holds several models, whose names begin with 'query.', 'text.'"),
            std::string::npos)
      << message;
}

// A tensor of a type that bertie doesn't have isn't missing.
TEST_F(SavedModel, AnUnreadableTypeIsCalledThat) {
  Safetensors file = read_weights(path_);
  file.unsupported = {file.tensors[3].name};
  file.tensors.erase(file.tensors.begin() + 3);
  std::string message = message_of([&] { load_weights(model_, file); });
  EXPECT_EQ(message, "[load] " + file.path + " doesn't fit the model:\n  wrong type: " + file.unsupported[0] +
                         " holds no floating-point numbers that bertie reads");
}

TEST_F(SavedModel, ADecoderOfOtherValuesIsItsOwn) {
  std::vector<NamedArray> tensors = read_weights(path_).tensors;
  Array words = *read_weights(path_).find("bert.embeddings.word_embeddings.weight");
  auto tied_with = [&](const Array& decoder) {
    std::vector<NamedArray> all = tensors;
    all.push_back({"cls.predictions.decoder.weight", decoder});
    write_safetensors(path_ + "/model.safetensors", all);
    auto read = load_pretrained<BertForMaskedLM>(path_);
    bool tied = read.model->config().tie_word_embeddings;
    EXPECT_EQ(
        read.notes,
        tied ? std::vector<LoadNote>{}
             : (std::vector<LoadNote>{
                   {"The weights' decoder differs from the word embeddings, so tie_word_embeddings is false",
                    {}}}));
    return tied;
  };
  EXPECT_TRUE(tied_with(words));
  for (int64_t i : {int64_t{0}, int64_t{1}, words.size() - 1}) {  // a single number tells
    Array other = words.clone();
    other.mutable_data<float>()[i] += 1;
    EXPECT_FALSE(tied_with(other)) << i;
  }
  EXPECT_FALSE(tied_with(Array::full(words.shape(), 1, DType::f32)));
  EXPECT_EQ(message_of([&] { load_weights(model_, read_weights(path_)); }),
            "[load] " + path_ +
                "/model.safetensors doesn't fit the model:\n  wrong values: cls.predictions.decoder.weight "
                "differs from the word embeddings, which the model has for it");
}

TEST_F(SavedModel, RefusesHostileIndexes) {
  std::filesystem::rename(path_ + "/model.safetensors", path_ + "/one.safetensors");
  std::filesystem::copy_file(path_ + "/one.safetensors", path_ + "/two.safetensors");
  std::string index = path_ + "/model.safetensors.index.json";
  auto message = [&](const std::string& map) {
    std::ofstream(index) << "{\"weight_map\": " << map << "}";
    std::string text = message_of([&] { load_pretrained<BertForMaskedLM>(path_); });
    std::string prefix = "[safetensors] " + index + ": ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  };
  EXPECT_EQ(message("{\"cls.predictions.bias\": \"one.safetensors\"}"), "no error");  // all its tensors serve
  EXPECT_EQ(message("{\"a\": \"three.safetensors\"}"),
            "[read] can't read '" + path_ + "/three.safetensors': No such file or directory");
  for (std::string file : {"../model/one.safetensors", "/one.safetensors", "..", "", "vocab.txt"})
    EXPECT_EQ(message("{\"a\": \"" + file + "\"}"),
              "'" + file + "' must be the name of a .safetensors file in the same folder");
  EXPECT_EQ(message("{\"a\": \"one.safetensors\"}"), "the tensor 'a' must be in one.safetensors, but isn't");
  EXPECT_EQ(message("{\"a\": \"one.safetensors\", \"a\": \"two.safetensors\"}"),
            "the index has the key 'a' twice");
  EXPECT_NE(message("{\"cls.predictions.bias\": \"one.safetensors\", \"bert.embeddings.LayerNorm.bias\": "
                    "\"two.safetensors\"}")
                .find("the files one.safetensors and two.safetensors both have the tensor"),
            std::string::npos);
  EXPECT_EQ(message("{\"a\": 1}"), "weight_map must map 'a' to a file's name");
  EXPECT_EQ(message("[]"), "the index must have an object weight_map");
  std::filesystem::remove(index);
  std::ofstream(path_ + "/pytorch_model.bin") << "";
  EXPECT_EQ(message_of([&] { load_pretrained<BertForMaskedLM>(path_); }),
            "[load] " + path_ + " has no model.safetensors; scripts/convert_pytorch_bin.py " + path_ +
                " makes it of pytorch_model.bin");
}

}  // namespace
}  // namespace bertie
