#include "bertie/models/pretrained.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>

#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/nn/training.h"
#include "tests/message_of.h"
#include "tests/models/small_config.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

Tokenizer small_tokenizer() {
  return Tokenizer(Vocabulary(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "ran", "on", "mat"}));
}

void replace_in(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_file(path);
  size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  std::ofstream(path) << text.replace(at, from.size(), to);
}

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}
const std::set<std::string> model_files{"config.json", "model.safetensors", "tokenizer_config.json",
                                        "vocab.txt"};

class Pretrained : public testing::Test {
 protected:
  void SetUp() override { save_pretrained(model_, small_tokenizer(), path_); }
  TemporaryFolder folder_;
  std::string path_ = folder_.path() + "/model";
  BertForMaskedLM model_{small_config(12), Initializer::normal(0.1, 3)};
};

TEST_F(Pretrained, ComesBackAsItWas) {
  auto read = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_TRUE(read.notes.empty());
  EXPECT_FALSE(read.model->training());
  EXPECT_EQ(read.tokenizer.vocabulary().tokens(), small_tokenizer().vocabulary().tokens());
  std::vector<Parameter> was = model_.parameters(), is = read.model->parameters();
  ASSERT_EQ(was.size(), is.size());
  for (size_t i = 0; i < was.size(); ++i) {
    EXPECT_EQ(was[i].names, is[i].names);
    EXPECT_EQ(was[i].tensor.array().to_vector<float>(), is[i].tensor.array().to_vector<float>());
  }
  // The names are those of transformers; the tied decoder isn't written twice.
  Safetensors file = read_safetensors(path_ + "/model.safetensors");
  EXPECT_TRUE(file.find("bert.encoder.layer.1.attention.self.key.weight"));
  EXPECT_TRUE(file.find("bert.encoder.layer.0.attention.output.LayerNorm.bias"));
  EXPECT_TRUE(file.find("cls.predictions.bias"));
  EXPECT_FALSE(file.find("cls.predictions.decoder.weight"));
}

TEST_F(Pretrained, ListsWhatDoesNotFit) {
  replace_in(path_ + "/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  replace_in(path_ + "/config.json", "\"max_position_embeddings\": 16", "\"max_position_embeddings\": 17");
  std::string message = message_of([&] { load_pretrained<BertForMaskedLM>(path_); });
  EXPECT_NE(message.find("missing: bert.encoder.layer.2.attention.self.query.weight [32, 32]"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("wrong shape: bert.embeddings.position_embeddings.weight is f32 [16, 32], the model "
                         "has f32 [17, 32]"),
            std::string::npos)
      << message;
  replace_in(path_ + "/config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1");
  replace_in(path_ + "/config.json", "\"max_position_embeddings\": 17", "\"max_position_embeddings\": 16");
  std::string note = load_pretrained<BertForMaskedLM>(path_).notes.at(0);
  EXPECT_EQ(std::count(note.begin(), note.end(), ' ') - 4, 16) << note;  // the second layer
}

TEST_F(Pretrained, RefusesConfigurationsItCannotCompute) {
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

TEST_F(Pretrained, RefusesMissingFilesAndLargerVocabularies) {
  std::ofstream(path_ + "/vocab.txt", std::ios::app) << "one\nmore\n";
  EXPECT_EQ(message_of([&] { load_pretrained<BertForMaskedLM>(path_); }),
            "[load] " + path_ + ": the vocabulary has 14 tokens, config.json allows 12");
  EXPECT_NE(
      message_of([&] { load_pretrained<BertForMaskedLM>(path_ + "/nowhere"); }).find("nowhere/config.json"),
      std::string::npos);
}

TEST_F(Pretrained, ParametersAreTheMappedFileUntilTrained) {
  auto read = load_pretrained<BertForMaskedLM>(path_);
  int mapped = 0, copied = 0;
  for (const Parameter& parameter : read.model->parameters()) {
    bool own = !parameter.tensor.array().storage()->owner;
    (own ? copied : mapped) += 1;
    EXPECT_EQ(own, parameter.names.size() == 3) << parameter.names[0];  // query, key and value made one
  }
  EXPECT_GT(mapped, 10);
  EXPECT_EQ(copied, 4);
  Tensor words = read.model->bert().word_embeddings();
  EXPECT_EQ(message_of([&] { words.mutable_array().mutable_data<float>()[0] = 1; }),
            "[array] this array is read-only memory of a file");
  float first = words.array().data<float>()[0];
  ParameterBlock block(*read.model);
  block.values().mutable_data<float>()[0] = first + 1;
  EXPECT_EQ(words.array().data<float>()[0], first + 1);
  EXPECT_EQ(read_weights(path_).find("bert.embeddings.word_embeddings.weight")->item(), first);
  EXPECT_EQ(message_of([&] { load_weights(*read.model, read_weights(path_)); }),
            "[replace] this parameter's place is bound: copy into mutable_array() instead");
}

TEST(UnsetInitializer, WeightsTakeNoMemory) {
  BertConfig config = small_config(30000);
  int64_t before = memory_counters().live_bytes;
  BertForMaskedLM model(config, Initializer::unset());
  int64_t rank_one = 0;  // biases and scales
  for (const Parameter& parameter : model.parameters())
    if (parameter.tensor.shape().rank() == 1) rank_one += parameter.tensor.array().bytes() + 63;
  EXPECT_LE(memory_counters().live_bytes - before, rank_one);
  Tensor words = model.bert().word_embeddings();
  EXPECT_EQ(words.array().item(30000 * 32 - 1), 0);
  EXPECT_NE(message_of([&] { words.mutable_array().mutable_data<float>(); }), "no error");
}

TEST_F(Pretrained, IsWrittenWhereItCameFrom) {
  auto read = load_pretrained<BertForMaskedLM>(path_);
  std::string was = read_file(path_ + "/model.safetensors");
  std::ofstream(path_ + "/tokenizer.json") << "{}";  // of another tokenizer; transformers would prefer it
  save_pretrained(*read.model, read.tokenizer, path_);
  EXPECT_EQ(read_file(path_ + "/model.safetensors"), was);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/tokenizer.json"));
  EXPECT_EQ(names_in(path_), model_files);
  Tensor words = read.model->bert().word_embeddings();
  words.replace(Array::zeros({12, 32}, DType::f32));
  save_pretrained(*read.model, read.tokenizer, path_);
  auto changed = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_EQ(changed.model->bert().word_embeddings().array().item(), 0);
  EXPECT_EQ(changed.model->parameters()[1].tensor.array().to_vector<float>(),
            model_.parameters()[1].tensor.array().to_vector<float>());
}

// Writing beyond so many bytes of a file fails, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

TEST_F(Pretrained, AFailedSaveLeavesTheOldModel) {
  BertConfig config = small_config(12);
  config.hidden_size = 16;
  BertForMaskedLM other(config, Initializer::normal(0.1, 4));
  std::vector<float> was = model_.bert().word_embeddings().array().to_vector<float>();
  // The vocabulary's place is taken by a folder; the old one is in tokenizer.json, as transformers 5 has it.
  std::string tokenizer_json = "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {";
  const Vocabulary vocabulary = small_tokenizer().vocabulary();
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    tokenizer_json += (id ? ", \"" : "\"") + std::string(vocabulary.token(id)) + "\": " + std::to_string(id);
  for (std::string blocked : {"pytorch_model.bin", "model.safetensors.index.json"}) {
    std::filesystem::create_directory(path_ + "/" + blocked);
    std::set<std::string> names = names_in(path_);
    EXPECT_EQ(message_of([&] { save_pretrained(other, small_tokenizer(), path_); }),
              "[save] can replace only regular files, and " + path_ + "/" + blocked + " is none");
    EXPECT_EQ(names_in(path_), names);
    EXPECT_EQ(
        load_pretrained<BertForMaskedLM>(path_).model->bert().word_embeddings().array().to_vector<float>(),
        was);
    std::filesystem::remove(path_ + "/" + blocked);
  }
  {
    FileSizeLimit limit(4096);
    std::set<std::string> names = names_in(path_);
    std::string message = message_of([&] { save_pretrained(other, small_tokenizer(), path_); });
    EXPECT_NE(message.find("model.safetensors': File too large"), std::string::npos) << message;
    EXPECT_EQ(names_in(path_), names);
  }
  EXPECT_EQ(
      load_pretrained<BertForMaskedLM>(path_).model->bert().word_embeddings().array().to_vector<float>(),
      was);
  std::filesystem::remove(path_ + "/vocab.txt");
  std::filesystem::create_directory(path_ + "/vocab.txt");
  std::ofstream(path_ + "/tokenizer.json") << tokenizer_json + "}}}";
  std::set<std::string> names = names_in(path_);
  std::string weights = read_file(path_ + "/model.safetensors");
  EXPECT_EQ(message_of([&] { save_pretrained(other, small_tokenizer(), path_); }),
            "[save] can replace only regular files, and " + path_ + "/vocab.txt is none");
  EXPECT_EQ(names_in(path_), names);
  std::filesystem::remove(path_ + "/vocab.txt");
  auto read = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_EQ(read.model->bert().word_embeddings().array().to_vector<float>(), was);
  EXPECT_EQ(read.tokenizer.vocabulary().tokens(), vocabulary.tokens());
}

TEST_F(Pretrained, ReplacesShardsAndOtherForms) {
  std::filesystem::rename(path_ + "/model.safetensors", path_ + "/model-00001-of-00001.safetensors");
  std::ofstream(path_ + "/model.safetensors.index.json")
      << "{\"weight_map\": {\"cls.predictions.bias\": \"model-00001-of-00001.safetensors\"}}";
  for (std::string name :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "added_tokens.json", "special_tokens_map.json",
        "pytorch_model-00001-of-00002.bin", "README.md", "model-notes.txt"})
    std::ofstream(path_ + "/" + name) << "{}";
  auto sharded = load_pretrained<BertForMaskedLM>(path_);  // mapped: saved from the file it replaces
  std::ofstream(path_ + "/tokenizer.json") << "{}";        // of no use, were it read
  save_pretrained(*sharded.model, sharded.tokenizer, path_);
  std::set<std::string> expected = model_files;
  expected.insert({"README.md", "model-notes.txt"});
  EXPECT_EQ(names_in(path_), expected);
  auto read = load_pretrained<BertForMaskedLM>(path_);
  std::vector<Parameter> was = model_.parameters(), is = read.model->parameters();
  ASSERT_EQ(was.size(), is.size());
  for (size_t i = 0; i < was.size(); ++i)
    EXPECT_EQ(was[i].tensor.array().to_vector<float>(), is[i].tensor.array().to_vector<float>());
}

TEST_F(Pretrained, AnInterruptedExchangeIsRefused) {
  std::string aside = path_ + "/unfinished-save-abcdef";
  std::filesystem::create_directory(aside);  // all was still being written: the old model is whole
  EXPECT_TRUE(load_pretrained<BertForMaskedLM>(path_).notes.empty());
  std::filesystem::rename(path_ + "/config.json", aside + "/config.json");
  EXPECT_EQ(
      message_of([&] { load_pretrained<BertForMaskedLM>(path_); }),
      "[load] " + path_ +
          " has no config.json: a save into it was interrupted. The model's new files that hadn't their "
          "place yet are in " +
          aside + ", the old ones in replaced/ within it");
}

TEST_F(Pretrained, TheLargestLengthIsKept) {
  EXPECT_EQ(load_pretrained<BertForMaskedLM>(path_).max_length, 16);  // max_position_embeddings
  save_pretrained(model_, small_tokenizer(), path_, 7);
  auto read = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_EQ(read.max_length, 7);
  save_pretrained(*read.model, read.tokenizer, path_, read.max_length);
  EXPECT_EQ(read_tokenizer_config(path_ + "/tokenizer_config.json").model_max_length, 7);
}

TEST_F(Pretrained, ANewHeadIsMadeOnlyWhenAsked) {
  std::string message = message_of([&] { load_pretrained<BertForSequenceClassification>(path_); });
  EXPECT_NE(message.find("missing: bert.pooler.dense.weight [32, 32]"), std::string::npos) << message;
  EXPECT_NE(message.find("missing: classifier.bias [2]\nOnly the head is missing; --allow-new-head"),
            std::string::npos)
      << message;
  auto read = load_pretrained<BertForSequenceClassification>(path_, {DType::f32, true});
  ASSERT_EQ(read.notes.size(), 2u);
  EXPECT_EQ(read.notes[0],
            "Not in the weights, so started at random: bert.pooler.dense.weight bert.pooler.dense.bias "
            "classifier.weight classifier.bias");
  EXPECT_NE(read.notes[1].find("Not used by this model: cls.predictions."), std::string::npos);
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

// A BertModel's file has no prefix, a head's has one; either serves both.
TEST_F(Pretrained, ThePrefixMayBeThereOrNot) {
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

TEST_F(Pretrained, ADecoderOfOtherValuesIsItsOwn) {
  std::vector<NamedArray> tensors = read_weights(path_).tensors;
  Array words = *read_weights(path_).find("bert.embeddings.word_embeddings.weight");
  auto tied_with = [&](const Array& decoder) {
    std::vector<NamedArray> all = tensors;
    all.push_back({"cls.predictions.decoder.weight", decoder});
    write_safetensors(path_ + "/model.safetensors", all);
    auto read = load_pretrained<BertForMaskedLM>(path_);
    bool tied = read.model->config().tie_word_embeddings;
    EXPECT_EQ(read.notes, tied ? std::vector<std::string>{}
                               : std::vector<std::string>{"The weights' decoder differs from the word "
                                                          "embeddings, so tie_word_embeddings is false"});
    return tied;
  };
  EXPECT_TRUE(tied_with(words));
  EXPECT_FALSE(tied_with(Array::full(words.shape(), 1, DType::f32)));
  EXPECT_EQ(message_of([&] { load_weights(model_, read_weights(path_)); }),
            "[load] " + path_ +
                "/model.safetensors doesn't fit the model:\n  wrong values: cls.predictions.decoder.weight "
                "differs from the word embeddings, which the model has for it");
}

TEST_F(Pretrained, RefusesHostileIndexes) {
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

TEST_F(Pretrained, ConfigurationsKeepWhatTheySay) {
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
  EXPECT_EQ(with("{", "{\"num_labels\": 5, "), "num_labels is 5, but id2label has 3 entries");
  EXPECT_EQ(with("\"2\"", "\"3\""), "id2label has 3 entries, but no name for \"2\"");
  EXPECT_EQ(with("multi_label_", "many_label_"),
            "problem_type must be single_label_classification, multi_label_classification or regression, got "
            "'many_label_classification'");
  EXPECT_EQ(with("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 0"),
            "tie_word_embeddings must be true or false, got 0");
  EXPECT_EQ(with("\"classifier_dropout\": 0.25", "\"classifier_dropout\": 1"),
            "a dropout rate must be in 0 … 1 (1 excluded), got 1");
  EXPECT_NE(with("\"hidden_size\": 32", "\"hidden_size\": 65536").find("GB, this machine has"),
            std::string::npos);
  EXPECT_NE(with("\"vocab_size\": 12", "\"vocab_size\": 9999999999999").find("vocab_size must be in"),
            std::string::npos);
}

}  // namespace
}  // namespace bertie
