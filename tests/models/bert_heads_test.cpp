// Every head of BERT against transformers (tests/models/reference/make_heads_reference.py).
#include "bertie/models/bert_heads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bertie/autograd/backward.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/models/pretrained.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/numbers.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

const std::string heads_reference = std::string(BERTIE_SOURCE_DIR) + "/tests/models/reference/bert_heads/";

const Safetensors& all_weights() {
  static const Safetensors weights = read_safetensors(heads_reference + "weights.safetensors");
  return weights;
}

const Array& of(const Safetensors& file, const std::string& name) {
  const Array* found = file.find(name);
  if (!found) throw Error(file.path + " has no " + name);
  return *found;
}

BertInput input_of(const Safetensors& file, const std::string& prefix) {
  BertInput input{of(file, prefix + "ids"), of(file, prefix + "token_type_ids"), {}};
  input.pass.packing.offsets = of(file, prefix + "offsets").to_vector<int64_t>();
  return input;
}

// One case of the reference: the model as its configuration says, and what transformers computes.
template <class Model>
struct Case {
  Case(const std::string& name, DType type)
      : name(name), type(type), expected(read_safetensors(heads_reference + name + ".safetensors")) {
    EXPECT_EQ(expected.metadata.at("architecture"), Model::architecture);
    TemporaryFolder folder;
    write_file_atomically(folder.path() + "/config.json", expected.metadata.at("config"));
    Initializer init = Initializer::unset(type);
    model = std::make_unique<Model>(read_bert_config(folder.path() + "/config.json"), init);
    Safetensors weights{all_weights().path, {}, {}};
    for (const NamedArray& tensor : all_weights().tensors) {
      if (tensor.name.starts_with("batch.")) continue;
      bool tied_decoder =
          model->config().tie_word_embeddings && tensor.name.find(".decoder.") < tensor.name.size();
      if (tied_decoder) continue;
      int64_t labels = std::is_same_v<Model, BertForMultipleChoice> ? 1 : model->config().num_labels();
      bool classifier = tensor.name.starts_with("classifier.");
      weights.tensors.push_back({tensor.name, classifier ? tensor.array.rows(0, labels) : tensor.array});
    }
    load_weights(*model, weights, {type});
    input = input_of(all_weights(), "batch.");
  }
  const Array& array(const std::string& key) const { return of(expected, key); }
  // Labels of the regression kind have the type that the model computes in.
  Array labels() const {
    const Array& labels = array("labels");
    return labels.dtype() == DType::f64 ? labels.cast(type) : labels;
  }

  void compare(const std::string& key, const Tensor& value) const {
    std::vector<double> exact = numbers(array(key));
    EXPECT_EQ(value.array().size(), static_cast<int64_t>(exact.size())) << name << " " << key;
    double allowed = type == DType::f64 ? 1e-9 * largest(exact) : 1e-5;
    EXPECT_LE(largest_difference(numbers(value.array()), exact), allowed)
        << name << " " << key << " in " << bertie::name(type);
  }

  // The gradient of every parameter. Some are zero but for the rounding of what they sum, such as those of
  // the key's bias, which moves all scores alike; hence the floor.
  void compare_gradients(const Tensor& loss) const {
    backward(loss);
    double largest_of_all = 0;
    for (const NamedArray& tensor : expected.tensors)
      if (tensor.name.starts_with("grad."))
        largest_of_all = std::max(largest_of_all, largest(numbers(tensor.array)));
    size_t compared = 0;
    for (const Parameter& parameter : model->parameters()) {
      std::vector<double> gradient = numbers(parameter.tensor.grad());
      size_t part = gradient.size() / parameter.names.size();
      for (size_t i = 0; i < parameter.names.size(); ++i, ++compared) {
        // transformers has two biases for an untied decoder and computes with one of them.
        bool decoder_bias =
            parameter.names[i] == "cls.predictions.bias" && !model->config().tie_word_embeddings;
        std::vector<double> exact =
            numbers(array("grad." + (decoder_bias ? "cls.predictions.decoder.bias" : parameter.names[i])));
        std::vector<double> own(gradient.begin() + i * part, gradient.begin() + (i + 1) * part);
        double scale = std::max(largest(exact), 0.05 * largest_of_all);
        EXPECT_LE(largest_difference(own, exact), (type == DType::f64 ? 1e-11 : 1e-5) * scale)
            << name << " " << parameter.names[i] << " in " << bertie::name(type);
      }
    }
    EXPECT_EQ(compared, std::count_if(expected.tensors.begin(), expected.tensors.end(),
                                      [](const NamedArray& t) { return t.name.starts_with("grad."); }));
  }

  std::string name;
  DType type;
  Safetensors expected;
  std::unique_ptr<Model> model;
  BertInput input;
};

template <class Model, class Check>
void for_cases(std::initializer_list<const char*> names, Check check) {
  for (const char* name : names)
    for (DType type : {DType::f64, DType::f32}) check(Case<Model>(name, type));
}

TEST(BertHeads, BertModelGivesEveryLayer) {
  for_cases<BertModel>(
      {"model_gelu", "model_gelu_new", "model_relu", "model_tanh", "model_gelu_python", "model_gelu_fast",
       "model_gelu_accurate", "model_gelu_pytorch_tanh", "model_gelu_python_tanh"},
      [](const Case<BertModel>& c) {
        size_t layers = 0;
        for (const NamedArray& tensor : c.expected.tensors) {
          Tensor value =
              tensor.name == "pooler_output"
                  ? c.model->pooler_output(c.model->last_hidden_state(c.input), c.input.pass.packing)
                  : c.model->hidden_state(c.input, tensor.name.back() - '0');
          // In f64, what is left is the rounding of the file, which is f32 here.
          std::vector<double> exact = numbers(tensor.array);
          EXPECT_LE(largest_difference(numbers(value.array()), exact),
                    c.type == DType::f64 ? 0x1p-23 * largest(exact) : 1e-5)
              << c.name << " " << tensor.name;
          layers += tensor.name != "pooler_output";
        }
        EXPECT_EQ(layers, c.name == "model_gelu" ? 3u : 1u);
      });
  Case<BertModel> c("model_gelu", DType::f32);
  EXPECT_EQ(message_of([&] { c.model->hidden_state(c.input, 3); }), "[bert] layers are 0 … 2, got 3");
}

TEST(BertHeads, MaskedLM) {
  for_cases<BertForMaskedLM>({"masked_lm", "masked_lm_untied"}, [](const Case<BertForMaskedLM>& c) {
    Tensor logits = c.model->logits(c.input, c.array("scored_rows"));
    c.compare("logits", logits);
    c.compare("loss", c.model->loss(logits, c.array("labels")));
  });
}

TEST(BertHeads, PreTraining) {
  for_cases<BertForPreTraining>({"pretraining", "pretraining_untied"}, [](const Case<BertForPreTraining>& c) {
    auto logits = c.model->logits(c.input, c.array("scored_rows"));
    c.compare("prediction_logits", logits.prediction_logits);
    c.compare("seq_relationship_logits", logits.seq_relationship_logits);
    Tensor loss = c.model->loss(logits, c.array("labels"), c.array("next_sentence_label"));
    c.compare("loss", loss);
    if (c.name == "pretraining_untied") c.compare_gradients(loss);
  });
}

TEST(BertHeads, NextSentencePrediction) {
  for_cases<BertForNextSentencePrediction>({"next_sentence"},
                                           [](const Case<BertForNextSentencePrediction>& c) {
                                             Tensor logits = c.model->logits(c.input);
                                             c.compare("logits", logits);
                                             c.compare("loss", c.model->loss(logits, c.array("labels")));
                                           });
}

TEST(BertHeads, SequenceClassification) {
  for_cases<BertForSequenceClassification>(
      {"sequence_single_label", "sequence_two_labels", "sequence_multi_label", "sequence_soft_labels",
       "sequence_regression", "sequence_regressions"},
      [](const Case<BertForSequenceClassification>& c) {
        Tensor logits = c.model->logits(c.input), loss = c.model->loss(logits, c.labels());
        c.compare("logits", logits);
        c.compare("loss", loss);
        // In two parts with the whole step's number, the losses add up.
        int64_t half = logits.shape()[0] / 2, size = logits.shape()[0];
        bool rows = c.labels().dtype() == DType::i64;
        auto whole = static_cast<double>(rows ? size : logits.array().size());
        double sum = 0;
        for (auto [begin, end] : {std::pair(int64_t{0}, half), std::pair(half, size)})
          sum += c.model->loss(logits.array().rows(begin, end), c.labels().rows(begin, end), whole).item();
        EXPECT_NEAR(sum, loss.item(), 1e-6);
        if (c.name == "sequence_multi_label") c.compare_gradients(loss);
      });
  Case<BertForSequenceClassification> c("sequence_soft_labels", DType::f32);
  EXPECT_EQ(c.model->config().labels[2], "LABEL_2");
  EXPECT_EQ(Case<BertForSequenceClassification>("sequence_two_labels", DType::f32).model->config().labels,
            (std::vector<std::string>{"bad", "good"}));
  EXPECT_EQ(
      message_of([&] {
        c.model->loss(c.model->logits(c.input), Array::zeros({6, 2}, DType::f32));
      }),
      "[loss] for multi_label_classification the labels must be like the logits f32 [6, 3], got f32 [6, 2]");
  for (Shape shape : {Shape{3, 6}, Shape{18}})  // as many elements in another order
    EXPECT_EQ(
        message_of([&] { c.model->loss(c.model->logits(c.input), Array::zeros(shape, DType::f32)); }),
        "[loss] for multi_label_classification the labels must be like the logits f32 [6, 3], got f32 " +
            shape.str());
  Case<BertForSequenceClassification> one("sequence_regression", DType::f32);
  Tensor logits = one.model->logits(one.input);
  EXPECT_EQ(one.model->loss(logits, one.labels().reshape({6, 1})).item(),
            one.model->loss(logits, one.labels().reshape({6})).item());
  EXPECT_NE(message_of([&] { one.model->loss(logits, one.labels().reshape({1, 6})); }), "no error");
}

// In train mode, over a body without dropout: forward() gives a head's logits.
template <class Model, class Forward>
void check_head_dropout(Forward forward) {
  BertConfig config;
  config.vocab_size = 12;
  config.hidden_size = 16;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.intermediate_size = 16;
  config.max_position_embeddings = 8;
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
  config.classifier_dropout = 0.5;
  Initializer init = Initializer::normal(0.5, 3, DType::f64);
  Model model(config, init);
  const std::vector<int32_t> ids{5, 6, 7, 8, 9, 10, 11, 5, 7, 9, 11, 6, 8};
  const std::vector<int64_t> offsets{0, 2, 5, 6, 13};
  // The sequences from `begin` to `end` as a part of the step's batch.
  auto part = [&](int64_t begin, int64_t end, uint64_t seed, uint64_t step) {
    BertInput input{Array::from(ids).rows(offsets[begin], offsets[end]), Array(), {{{}, begin}, seed, step}};
    for (int64_t n = begin; n <= end; ++n) input.pass.packing.offsets.push_back(offsets[n] - offsets[begin]);
    return numbers(forward(model, input).array());
  };
  auto whole = [&](uint64_t seed, uint64_t step) { return part(0, 4, seed, step); };
  std::vector<double> trained = whole(1, 2);
  EXPECT_EQ(whole(1, 2), trained);
  EXPECT_GT(largest_difference(whole(1, 3), trained), 1e-3);
  EXPECT_GT(largest_difference(whole(2, 2), trained), 1e-3);
  std::vector<double> parts = part(0, 2, 1, 2), second = part(2, 4, 1, 2);
  parts.insert(parts.end(), second.begin(), second.end());
  EXPECT_LE(largest_difference(parts, trained), 1e-12 * largest(trained));
  model.eval();
  std::vector<double> exact = whole(1, 2);
  EXPECT_GT(largest_difference(exact, trained), 1e-3);
  EXPECT_EQ(whole(2, 3), exact);
}

TEST(BertHeads, DropoutOfTheHead) {
  check_head_dropout<BertForSequenceClassification>(
      [](const auto& model, const BertInput& input) { return model.logits(input); });
  check_head_dropout<BertForTokenClassification>(
      [](const auto& model, const BertInput& input) { return model.logits(input); });
  check_head_dropout<BertForMultipleChoice>(
      [](const auto& model, const BertInput& input) { return model.logits(input, 2); });
}

TEST(BertHeads, TokenClassification) {
  for_cases<BertForTokenClassification>({"token"}, [](const Case<BertForTokenClassification>& c) {
    Tensor logits = c.model->logits(c.input);
    c.compare("logits", logits);
    c.compare("loss", c.model->loss(logits, c.array("labels")));
  });
}

TEST(BertHeads, QuestionAnswering) {
  for_cases<BertForQuestionAnswering>(
      {"question_answering", "question_answering_even"}, [](const Case<BertForQuestionAnswering>& c) {
        BertInput input = c.expected.find("ids") ? input_of(c.expected, "") : c.input;
        auto logits = c.model->logits(input);
        c.compare("start_logits", logits.start_logits);
        c.compare("end_logits", logits.end_logits);
        Tensor loss =
            c.model->loss(logits, input.pass.packing, c.array("start_positions"), c.array("end_positions"));
        c.compare("loss", loss);
        if (c.name == "question_answering") c.compare_gradients(loss);
      });
  Case<BertForQuestionAnswering> c("question_answering", DType::f32);
  auto logits = c.model->logits(c.input);
  auto loss = [&](const Array& starts) {
    return c.model->loss(logits, c.input.pass.packing, starts, Array::zeros({6}, DType::i32)).item();
  };
  EXPECT_EQ(message_of([&] { loss(Array::zeros({6}, DType::f32)); }),
            "[loss] the positions must be i32 or i64 [6], one per sequence, got f32 [6]");
  EXPECT_EQ(message_of([&] { loss(Array::zeros({5}, DType::i64)); }),
            "[loss] the positions must be i32 or i64 [6], one per sequence, got i64 [5]");
  EXPECT_EQ(loss(Array::from(std::vector<int64_t>{1, 0, INT64_MAX, -1, INT64_MIN, 2})),
            loss(Array::from(std::vector<int32_t>{1, 0, 2, 0, 0, 2})));
  // Where all are ignored there is no mean.
  EXPECT_NE(
      message_of([&] { loss(Array::from(std::vector<int32_t>(6, 13))); }).find("all 6 rows are ignored"),
      std::string::npos);
  BertConfig config = c.model->config();
  config.labels.push_back("third");
  EXPECT_EQ(message_of([&] { BertForQuestionAnswering(config, Initializer::unset()); }),
            "[BertForQuestionAnswering] needs 2 labels, start and end; the configuration has 3");
}

TEST(BertHeads, MultipleChoice) {
  for_cases<BertForMultipleChoice>({"multiple_choice"}, [](const Case<BertForMultipleChoice>& c) {
    Tensor logits = c.model->logits(c.input, 3);
    c.compare("logits", logits);
    c.compare("loss", c.model->loss(logits, c.array("labels")));
    EXPECT_EQ(message_of([&] { c.model->logits(c.input, 4); }),
              "[BertForMultipleChoice] 4 choices each don't divide 6 sequences");
  });
}

// The same weights in shards, under old names, and in f16 and bf16.
TEST(BertHeads, FilesOfEveryKind) {
  Safetensors expected = read_safetensors(heads_reference + "files.safetensors");
  BertInput input = input_of(all_weights(), "batch.");
  std::vector<int32_t> rows;
  for (int32_t row = 0; row < input.ids.size(); row += 4) rows.push_back(row);
  for (std::string name : {"sharded", "old_names", "f16", "bf16"}) {
    std::vector<double> exact = numbers(of(expected, "logits." + name));
    for (DType type : {DType::f32, DType::f64}) {
      std::string folder = heads_reference + "files/" + name;
      BertForMaskedLM model(read_bert_config(folder + "/config.json"), Initializer::unset(type));
      EXPECT_TRUE(load_weights(model, read_weights(folder), {type}).empty()) << name;
      Tensor logits = model.logits(input, Array::from(rows));
      EXPECT_LE(largest_difference(numbers(logits.array()), exact), 1e-5) << name << bertie::name(type);
    }
  }
}

// Two BERTs of 12 layers with the outputs that ONNX Runtime's own tests expect of them.
class ReferenceModels : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("BERTIE_TEST_DATA");
    if (!data) GTEST_SKIP() << "BERTIE_TEST_DATA doesn't name the folder with reference-models/";
    folder_ = std::string(data) + "/reference-models/";
  }
  template <class Model>
  void load(const std::string& name) {
    file_ = nlohmann::json::parse(read_file(folder_ + name + ".json"));
    Safetensors weights = read_safetensors(folder_ + name + ".safetensors");
    BertConfig config;
    config.hidden_size = file_["hidden"];
    config.num_hidden_layers = file_["layers"];
    config.num_attention_heads = file_["heads"];
    config.intermediate_size = file_["intermediate"];
    config.layer_norm_eps = file_["ln_eps"];
    config.vocab_size = of(weights, "bert.embeddings.word_embeddings.weight").shape()[0];
    config.max_position_embeddings = of(weights, "bert.embeddings.position_embeddings.weight").shape()[0];
    Initializer init = Initializer::unset();
    auto model = std::make_unique<Model>(config, init);
    EXPECT_TRUE(load_weights(*model, weights).empty());
    model->eval();
    // Masked tokens are padding at the end: they don't exist here.
    auto mask = file_["attention_mask"].get<std::vector<int>>();
    int64_t length = std::count(mask.begin(), mask.end(), 1);
    EXPECT_TRUE(std::is_sorted(mask.rbegin(), mask.rend()));
    input_.ids = Array::from(file_["input_ids"].get<std::vector<int32_t>>()).rows(0, length);
    input_.token_type_ids = Array::from(file_["token_type_ids"].get<std::vector<int32_t>>()).rows(0, length);
    input_.pass.packing.offsets = {0, length};
    NoGrad no_grad;
    compare(*model);
  }
  void compare(const BertForSequenceClassification& model) { compare("logits", model.logits(input_)); }
  void compare(const BertForQuestionAnswering& model) {
    auto logits = model.logits(input_);
    compare("start_logits", logits.start_logits);
    compare("end_logits", logits.end_logits);
  }
  void compare(const char* key, const Tensor& value) {
    EXPECT_LE(largest_difference(numbers(value.array()), file_[key].get<std::vector<double>>()), 1e-6) << key;
  }

  std::string folder_;
  nlohmann::json file_;
  BertInput input_;
};

TEST_F(ReferenceModels, Mrpc) { load<BertForSequenceClassification>("bert-mrpc-tf-opset10"); }
TEST_F(ReferenceModels, Squad) { load<BertForQuestionAnswering>("bert-squad-pt-opset10"); }

}  // namespace
}  // namespace bertie
