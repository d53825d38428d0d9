#include "bertie/models/bert_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/message_of.h"
#include "tests/models/saved_model.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

const Json sizes = {{"vocab_size", 31},         {"hidden_size", 12},       {"num_hidden_layers", 3},
                    {"num_attention_heads", 4}, {"intermediate_size", 20}, {"max_position_embeddings", 17}};

class BertConfigTest : public testing::Test {
 protected:
  BertConfig read(const Json& json) {
    std::ofstream(path_) << json.dump();
    return read_bert_config(path_);
  }
  std::string error(const Json& json) {
    return message_of([&] { read(json); });
  }
  static Json with(const std::string& key, const Json& value) {
    Json json = sizes;
    json[key] = value;
    return json;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "config.json";
};

// What transformers' BertConfig() has.
TEST_F(BertConfigTest, MissingKeysHaveTheDefaultsOfTransformers) {
  auto expect_defaults = [](const BertConfig& config) {
    EXPECT_EQ(config.type_vocab_size, 2);
    EXPECT_EQ(config.hidden_act, "gelu");
    EXPECT_EQ(config.hidden_dropout_prob, 0.1);
    EXPECT_EQ(config.attention_probs_dropout_prob, 0.1);
    EXPECT_EQ(config.initializer_range, 0.02);
    EXPECT_EQ(config.layer_norm_eps, 1e-12);
    EXPECT_EQ(config.pad_token_id, 0);
    EXPECT_EQ(config.classifier_dropout, std::nullopt);
    EXPECT_TRUE(config.tie_word_embeddings);
    EXPECT_EQ(config.problem_type, "");
    EXPECT_EQ(config.labels, (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  };
  expect_defaults(read(sizes));
  Json nulls = sizes;
  for (const char* key :
       {"type_vocab_size", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob",
        "initializer_range", "layer_norm_eps", "pad_token_id", "classifier_dropout", "tie_word_embeddings",
        "problem_type", "id2label", "num_labels", "model_type", "is_decoder"})
    nulls[key] = nullptr;
  expect_defaults(read(nulls));
  BertConfig base;
  expect_defaults(base);
  EXPECT_EQ(base.vocab_size, 30522);
  EXPECT_EQ(base.hidden_size, 768);
  EXPECT_EQ(base.num_hidden_layers, 12);
  EXPECT_EQ(base.num_attention_heads, 12);
  EXPECT_EQ(base.intermediate_size, 3072);
  EXPECT_EQ(base.max_position_embeddings, 512);
}

// No two values alike, so that no key can stand for another; and the same of what is written.
TEST_F(BertConfigTest, EachKeyIsReadAndWrittenUnderItsName) {
  Json json = sizes;
  json.update({{"type_vocab_size", 5},
               {"hidden_act", "relu"},
               {"hidden_dropout_prob", 0.25},
               {"attention_probs_dropout_prob", 0.375},
               {"initializer_range", 0.03},
               {"layer_norm_eps", 1e-6},
               {"pad_token_id", 7},
               {"classifier_dropout", 0.5},
               {"tie_word_embeddings", false},
               {"problem_type", "regression"},
               {"id2label", {{"0", "x"}, {"1", "y"}, {"2", "z"}}}});
  auto expect = [](const BertConfig& config) {
    EXPECT_EQ(config.vocab_size, 31);
    EXPECT_EQ(config.hidden_size, 12);
    EXPECT_EQ(config.num_hidden_layers, 3);
    EXPECT_EQ(config.num_attention_heads, 4);
    EXPECT_EQ(config.intermediate_size, 20);
    EXPECT_EQ(config.max_position_embeddings, 17);
    EXPECT_EQ(config.type_vocab_size, 5);
    EXPECT_EQ(config.hidden_act, "relu");
    EXPECT_EQ(config.hidden_dropout_prob, 0.25);
    EXPECT_EQ(config.attention_probs_dropout_prob, 0.375);
    EXPECT_EQ(config.initializer_range, 0.03);
    EXPECT_EQ(config.layer_norm_eps, 1e-6);
    EXPECT_EQ(config.pad_token_id, 7);
    EXPECT_EQ(config.classifier_dropout, 0.5);
    EXPECT_FALSE(config.tie_word_embeddings);
    EXPECT_EQ(config.problem_type, "regression");
    EXPECT_EQ(config.labels, (std::vector<std::string>{"x", "y", "z"}));
  };
  BertConfig config = read(json);
  expect(config);
  write_bert_config(path_, config, "BertForTokenClassification");
  expect(read_bert_config(path_));
  Json written = Json::parse(read_file(path_));
  for (const auto& [key, value] : json.items()) EXPECT_EQ(written[key], value) << key;
  EXPECT_EQ(written["architectures"], Json({"BertForTokenClassification"}));
  EXPECT_EQ(written["model_type"], "bert");
  EXPECT_EQ(written["position_embedding_type"], "absolute");
  EXPECT_EQ(written["label2id"], Json({{"x", 0}, {"y", 1}, {"z", 2}}));
  write_bert_config(path_, small_config(12), "BertModel");
  written = Json::parse(read_file(path_));
  EXPECT_TRUE(written["classifier_dropout"].is_null());
  EXPECT_FALSE(written.contains("problem_type"));
}

// Writing took a time that grew with the square of their number: this test would take minutes.
TEST_F(BertConfigTest, ManyLabels) {
  BertConfig config = small_config(12);
  config.labels.clear();
  for (int i = 0; i < 200'000; ++i) config.labels.push_back(std::to_string(200'000 - i));
  write_bert_config(path_, config, "BertForSequenceClassification");
  EXPECT_EQ(read_bert_config(path_).labels, config.labels);
  Json written = Json::parse(read_file(path_));
  ASSERT_EQ(written["label2id"].size(), config.labels.size());
  EXPECT_EQ(written["label2id"]["200000"], 0);
  EXPECT_EQ(written["label2id"]["1"], 199'999);
}

TEST_F(BertConfigTest, SizesMustBeThere) {
  for (const auto& [key, value] : sizes.items()) {
    for (bool null : {false, true}) {
      Json json = sizes;
      if (null)
        json[key] = nullptr;
      else
        json.erase(key);
      EXPECT_EQ(error(json), "[config] " + path_ + ": the key " + key + " is missing");
    }
    EXPECT_NE(error(with(key, 0)).find(key + " must be in 1"), std::string::npos) << error(with(key, 0));
    EXPECT_EQ(error(with(key, 1.5)), "[config] " + path_ + ": " + key + " must be an integer, got 1.5");
  }
}

TEST_F(BertConfigTest, RefusesWhatItDoesNotCompute) {
  const std::pair<const char*, Json> refused[] = {{"model_type", "roberta"},
                                                  {"position_embedding_type", "relative_key_query"},
                                                  {"is_decoder", true},
                                                  {"is_encoder_decoder", true},
                                                  {"add_cross_attention", true},
                                                  {"pruned_heads", {{"0", {1}}}},
                                                  {"quantization_config", {{"bits", 4}}},
                                                  {"hidden_act", "silu"},
                                                  {"hidden_act", "sigmoid"}};
  for (const auto& [key, value] : refused)
    EXPECT_NE(error(with(key, value)).find(std::string(key) + " must be "), std::string::npos) << key;
  const std::pair<const char*, Json> taken[] = {{"model_type", "bert"},
                                                {"position_embedding_type", "absolute"},
                                                {"is_decoder", false},
                                                {"is_encoder_decoder", false},
                                                {"add_cross_attention", false},
                                                {"pruned_heads", Json::object()},
                                                {"use_cache", true}};
  for (const auto& [key, value] : taken) EXPECT_EQ(error(with(key, value)), "no error") << key;
  for (const char* rate : {"hidden_dropout_prob", "attention_probs_dropout_prob"}) {
    for (double bad : {-0.1, 1.5}) EXPECT_NE(error(with(rate, bad)), "no error") << rate << bad;
    for (double good : {0.0, 0.99, 1.0}) EXPECT_EQ(error(with(rate, good)), "no error") << rate << good;
  }
  EXPECT_NE(error(with("layer_norm_eps", 0)), "no error");
  EXPECT_NE(error(with("initializer_range", -0.1)), "no error");
  EXPECT_EQ(error(with("initializer_range", 0)), "no error");
}

TEST_F(BertConfigTest, ActivationsHaveSeveralNames) {
  const std::pair<const char*, const char*> names[] = {
      {"gelu", "gelu"},          {"gelu_python", "gelu"},          {"gelu_new", "gelu_new"},
      {"gelu_fast", "gelu_new"}, {"gelu_accurate", "gelu_new"},    {"gelu_pytorch_tanh", "gelu_new"},
      {"relu", "relu"},          {"gelu_python_tanh", "gelu_new"}, {"tanh", "tanh"}};
  for (auto [name, expected] : names) EXPECT_EQ(read(with("hidden_act", name)).hidden_act, expected) << name;
}

TEST_F(BertConfigTest, LabelsAreInTheOrderOfTheirNumbers) {
  Json names;
  std::vector<std::string> expected, defaults;
  for (int i = 0; i < 12; i++) {
    expected.push_back("name " + std::to_string(i * 7 % 12));
    names[std::to_string(i)] = expected.back();
    defaults.push_back("LABEL_" + std::to_string(i));
  }
  EXPECT_EQ(read(with("id2label", names)).labels, expected);
  EXPECT_EQ(read(with("num_labels", 12)).labels, defaults);
  EXPECT_EQ(read(with("num_labels", 1)).labels, std::vector<std::string>{"LABEL_0"});
}

// What only a head needs stops nobody else.
TEST_F(BertConfigTest, LabelsAreJudgedWhereTheHeadIsMade) {
  auto head_error = [&](const std::string& key, const Json& value) {
    BertConfig config = read(with(key, value));
    EXPECT_EQ(message_of([&] { BertForMaskedLM(config, Initializer::unset()); }), "no error");
    EXPECT_EQ(message_of([&] { BertForNextSentencePrediction(config, Initializer::unset()); }), "no error");
    return message_of([&] { BertForSequenceClassification(config, Initializer::unset()); });
  };
  std::string start = "[config] " + path_ + ": ";
  for (const Json& bad : {Json(0), Json(-1), Json(2.5), Json("2"), Json(1'000'001)})
    EXPECT_EQ(head_error("num_labels", bad), start + "num_labels must be in 1 … 1000000, got " + bad.dump());
  EXPECT_EQ(head_error("id2label", {{"1", "x"}}), start + "id2label has 1 entries, but no name for \"0\"");
  EXPECT_EQ(head_error("id2label", Json::object()), start + "id2label has no entries");
  EXPECT_EQ(head_error("id2label", {{"0", 3}}), start + "id2label has 1 entries, but no name for \"0\"");
  EXPECT_EQ(head_error("id2label", {{"0", nullptr}}),
            start + "id2label has 1 entries, but no name for \"0\"");
  EXPECT_EQ(head_error("id2label", {"a", "b"}), start + "id2label must be an object, got [\"a\",\"b\"]");
  for (const Json& bad : {Json("many_label"), Json(5)})
    EXPECT_EQ(head_error("problem_type", bad),
              "[config] problem_type must be single_label_classification, multi_label_classification or "
              "regression, got '" +
                  (bad.is_string() ? bad.get<std::string>() : bad.dump()) + "'");
  for (double bad : {-0.1, 1.5})
    EXPECT_EQ(head_error("classifier_dropout", bad),
              fmt::format("[config] classifier_dropout must be in 0 … 1, got {}", bad));
  EXPECT_EQ(head_error("classifier_dropout", 1.0), "no error");  // which only training refuses
  Json json = with("id2label", {{"0", "a"}, {"1", "b"}});
  json["num_labels"] = 5;
  BertConfig config = read(json);
  for (auto make : {+[](const BertConfig& c) { BertForTokenClassification(c, Initializer::unset()); },
                    +[](const BertConfig& c) { BertForQuestionAnswering(c, Initializer::unset()); }})
    EXPECT_EQ(message_of([&] { make(config); }), start + "num_labels is 5, but id2label has 2 entries");
}

TEST_F(BertConfigTest, AnotherModelIsNamedFirst) {
  // As DistilBERT has it: other names for the sizes.
  EXPECT_EQ(error({{"model_type", "distilbert"}, {"dim", 768}, {"n_layers", 6}, {"vocab_size", 30522}}),
            "[config] " + path_ + ": model_type must be \"bert\", got \"distilbert\"");
}

TEST_F(BertConfigTest, UnknownKeysAreNamed) {
  auto notes = [&](const Json& json) {
    std::ofstream(path_) << json.dump();
    std::vector<LoadNote> result;
    read_bert_config(path_, &result);
    return result;
  };
  EXPECT_EQ(notes(sizes), std::vector<LoadNote>{});
  Json json = sizes;  // as transformers writes them, and bert-base-chinese and bert-base-cased were published
  json.update({{"architectures", {"BertForMaskedLM"}},
               {"dtype", "float32"},
               {"model_type", "bert"},
               {"output_attentions", false},
               {"return_dict", true},
               {"transformers_version", "5.23.0"},
               {"bos_token_id", nullptr},
               {"chunk_size_feed_forward", 0},
               {"label2id", {{"LABEL_0", 0}}},
               {"directionality", "bidi"},
               {"pooler_fc_size", 768},
               {"pooler_num_attention_heads", 12},
               {"pooler_num_fc_layers", 3},
               {"pooler_size_per_head", 128},
               {"pooler_type", "first_token_transform"},
               {"gradient_checkpointing", false},
               {"use_cache", true},
               {"_name_or_path", "x"},
               {"is_decoder", false},
               {"problem_type", nullptr},
               {"classifier_dropout", nullptr}});
  EXPECT_EQ(notes(json), std::vector<LoadNote>{});
  json.update({{"embedding_size", 64}, {"auto_map", {{"AutoModel", "x.Y"}}}, {"norm_first", true}});
  EXPECT_EQ(notes(json),
            (std::vector<LoadNote>{{path_ + " has keys that bertie doesn't know and doesn't follow",
                                    {"auto_map", "embedding_size", "norm_first"}}}));
}

TEST_F(BertConfigTest, PresetsAreThePublishedSizes) {
  struct Size {
    const char* name;
    int64_t layers, hidden, heads, intermediate;
    double million;  // parameters, as published with BERT's small models (Turc et al., 2019), and BERT-base
  };
  const Size published[] = {{"tiny", 2, 128, 2, 512, 4.4},
                            {"mini", 4, 256, 4, 1024, 11.3},
                            {"small", 4, 512, 8, 2048, 29.1},
                            {"medium", 8, 512, 8, 2048, 41.7},
                            {"base", 12, 768, 12, 3072, 110.1}};
  std::vector<std::string> names;
  for (const Size& size : published) {
    names.push_back(size.name);
    BertConfig config = bert_preset(size.name);
    EXPECT_EQ(config.num_hidden_layers, size.layers) << size.name;
    EXPECT_EQ(config.hidden_size, size.hidden) << size.name;
    EXPECT_EQ(config.num_attention_heads, size.heads) << size.name;
    EXPECT_EQ(config.intermediate_size, size.intermediate) << size.name;
    EXPECT_EQ(config.max_position_embeddings, 512) << size.name;
    EXPECT_NEAR(static_cast<double>(config.parameter_count()) / 1e6, size.million, 0.8) << size.name;
  }
  EXPECT_EQ(bert_preset("base").parameter_count(),
            109'482'240);  // transformers' BertModel of bert-base-uncased
  EXPECT_EQ(bert_preset_names(), names);
  EXPECT_EQ(message_of([] { bert_preset("huge"); }),
            "[preset] must be tiny, mini, small, medium or base, got 'huge'");
}

TEST_F(BertConfigTest, CountsTheParametersThatAModelHas) {
  BertConfig config = read(with("type_vocab_size", 3));
  Initializer init = Initializer::unset();
  BertModel model(config, init);
  int64_t count = 0;
  for (const Parameter& parameter : model.parameters()) count += parameter.tensor.array().size();
  EXPECT_EQ(config.parameter_count(), count);
}

TEST_F(SavedModel, RefusesConfigurationsItCannotCompute) {
  std::string config = path_ + "/config.json", whole = read_file(config);
  auto message_with = [&](const std::string& from, const std::string& to) {
    std::ofstream(config) << whole;
    replace_in(config, from, to);
    return message_of([&] { load_pretrained<BertForMaskedLM>(path_); });
  };
  EXPECT_EQ(message_with("\"absolute\"", "\"relative_key\""),
            "[config] " + config + ": position_embedding_type must be \"absolute\", got \"relative_key\"");
  EXPECT_EQ(message_with("\"hidden_size\": 32", "\"hidden_size\": \"x\""),
            "[config] " + config + ": hidden_size must be an integer, got \"x\"");
  EXPECT_EQ(message_with("\"hidden_size\": 32,", ""),
            "[config] " + config + ": the key hidden_size is missing");
  EXPECT_EQ(message_with("\"hidden_size\": 32", "\"hidden_size\": 33"),
            "[config] " + config + ": num_attention_heads must divide hidden_size, got 2 and 33");
  EXPECT_EQ(message_with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": -2"),
            "[config] " + config + ": num_hidden_layers must be in 1 … 1000, got -2");
  EXPECT_EQ(message_with("\"model_type\": \"bert\"", "\"model_type\": \"roberta\""),
            "[config] " + config + ": model_type must be \"bert\", got \"roberta\"");
  EXPECT_EQ(message_with("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"swish\""),
            "[config] " + config + ": hidden_act must be gelu, gelu_new, relu or tanh, got 'swish'");
  EXPECT_EQ(message_with("{", "[").find("[config] " + config + " must be valid JSON, its byte "), 0u);
  std::string deep = std::string(1000000, '[') + std::string(1000000, ']');
  EXPECT_EQ(message_with("\"hidden_size\": 32", "\"hidden_size\": " + deep),
            "[config] " + config + " must be nested at most 64 levels deep");
}

TEST_F(SavedModel, ConfigurationsKeepWhatTheySay) {
  std::string path = path_ + "/config.json";
  BertConfig config = small_config(12);
  config.labels = {"no", "yes", "Straße"};
  config.problem_type = "multi_label_classification";
  config.classifier_dropout = 0.25;
  config.tie_word_embeddings = false;
  config.hidden_act = "gelu_new";
  write_bert_config(path, config, "BertForSequenceClassification");
  BertConfig read = read_bert_config(path);
  EXPECT_EQ(read.labels, config.labels);
  EXPECT_EQ(read.problem_type, config.problem_type);
  EXPECT_EQ(read.classifier_dropout, config.classifier_dropout);
  EXPECT_FALSE(read.tie_word_embeddings);
  EXPECT_EQ(read.hidden_act, "gelu_new");
  std::string whole = read_file(path);
  auto with = [&](const std::string& from, const std::string& to) {
    std::ofstream(path) << whole;
    replace_in(path, from, to);
    std::string text = message_of([&] { read_bert_config(path); }), prefix = "[config] " + path + ": ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  };
  EXPECT_EQ(with("{", "{\"is_decoder\": true, "), "is_decoder must be false, got true");
  EXPECT_EQ(with("{", "{\"pruned_heads\": {\"1\": [0]}, "), "pruned_heads must be {}, got {\"1\":[0]}");
  EXPECT_EQ(with("{", "{\"pruned_heads\": {}, \"chunk_size_feed_forward\": 2, "), "no error");
  EXPECT_EQ(with("{", "{\"quantization_config\": {\"bits\": 4}, "),
            "quantization_config must be null, got {\"bits\":4}");
  EXPECT_EQ(with("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 0"),
            "tie_word_embeddings must be true or false, got 0");
  EXPECT_NE(with("\"hidden_size\": 32", "\"hidden_size\": 65536").find("GB, this machine has"),
            std::string::npos);
  EXPECT_NE(with("\"vocab_size\": 12", "\"vocab_size\": 9999999999999").find("vocab_size must be in"),
            std::string::npos);
}

}  // namespace
}  // namespace bertie
