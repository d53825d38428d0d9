#include "bertie/models/pretrained.h"

#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "bertie/autograd/memory.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/nn/parameter_file.h"
#include "bertie/nn/training.h"
#include "tests/message_of.h"
#include "tests/models/names_in.h"
#include "tests/models/saved_model.h"

namespace bertie {
namespace {

const std::set<std::string> model_files{"config.json", "model.safetensors", "tokenizer_config.json",
                                        "vocab.txt"};

TEST_F(SavedModel, ComesBackAsItWas) {
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

TEST_F(SavedModel, WeightsAreToldApartByTheirHash) {
  std::string file = path_ + "/model.safetensors", hash = weights_hash(path_);
  EXPECT_EQ(hash.size(), 32u);
  // In two files they are the same.
  std::vector<NamedArray> tensors = named_parameters(model_);
  std::vector<NamedArray> first(tensors.begin(), tensors.begin() + 3),
      rest(tensors.begin() + 3, tensors.end());
  std::filesystem::create_directory(folder_ / "sharded");
  write_safetensors(folder_ / "sharded/b.safetensors", first, {});
  write_safetensors(folder_ / "sharded/a.safetensors", rest, {});
  std::string index;
  for (size_t i = 0; i < tensors.size(); ++i)
    index +=
        fmt::format("{}\"{}\": \"{}.safetensors\"", i > 0 ? ", " : "", tensors[i].name, i < 3 ? "b" : "a");
  std::ofstream(folder_ / "sharded/model.safetensors.index.json") << "{\"weight_map\": {" << index << "}}";
  EXPECT_EQ(weights_hash(folder_ / "sharded"), hash);
  // One value, one name.
  tensors.back().array = tensors.back().array.clone();
  tensors.back().array.mutable_data<float>()[0] += 1;
  write_safetensors(file, tensors, {});
  EXPECT_NE(weights_hash(path_), hash);
  tensors.back() = named_parameters(model_).back();
  write_safetensors(file, tensors, {});
  EXPECT_EQ(weights_hash(path_), hash);
  tensors.back().name += "s";
  write_safetensors(file, tensors, {});
  EXPECT_NE(weights_hash(path_), hash);
}

TEST_F(SavedModel, ListsWhatDoesNotFit) {
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
  EXPECT_EQ(load_pretrained<BertForMaskedLM>(path_).notes.at(0).str(),  // the second layer
            "Not used by this model: 16 tensors (encoder)");
}

TEST_F(SavedModel, RefusesMissingFilesAndLargerVocabularies) {
  std::ofstream(path_ + "/vocab.txt", std::ios::app) << "one\nmore\n";
  EXPECT_EQ(message_of([&] { load_pretrained<BertForMaskedLM>(path_); }),
            "[load] " + path_ + ": the vocabulary has 14 tokens, config.json allows 12");
  EXPECT_NE(
      message_of([&] { load_pretrained<BertForMaskedLM>(path_ + "/nowhere"); }).find("nowhere/config.json"),
      std::string::npos);
}

TEST_F(SavedModel, ParametersAreTheMappedFileUntilTrained) {
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

TEST_F(SavedModel, IsWrittenWhereItCameFrom) {
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

TEST_F(SavedModel, AFailedSaveLeavesTheOldModel) {
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

TEST_F(SavedModel, ReplacesShardsAndOtherForms) {
  std::filesystem::rename(path_ + "/model.safetensors", path_ + "/model-00001-of-00001.safetensors");
  std::ofstream(path_ + "/model.safetensors.index.json")
      << "{\"weight_map\": {\"cls.predictions.bias\": \"model-00001-of-00001.safetensors\"}}";
  for (std::string name : {"pytorch_model.bin", "pytorch_model.bin.index.json", "added_tokens.json",
                           "special_tokens_map.json", "pytorch_model-00001-of-00002.bin", "README.md",
                           "model-notes.txt", "metrics.jsonl", "pytorch_model-my-of-notes.bin",
                           "model-00001-of-00001.safetensors.bak", "model-1-of-2.safetensors", "tf_model.h5"})
    std::ofstream(path_ + "/" + name) << "{}";
  auto sharded = load_pretrained<BertForMaskedLM>(path_);  // mapped: saved from the file it replaces
  std::ofstream(path_ + "/tokenizer.json") << "{}";        // of no use, were it read
  save_pretrained(*sharded.model, sharded.tokenizer, path_);
  std::set<std::string> expected = model_files;
  expected.insert({"README.md", "model-notes.txt", "metrics.jsonl", "pytorch_model-my-of-notes.bin",
                   "model-00001-of-00001.safetensors.bak", "model-1-of-2.safetensors", "tf_model.h5"});
  EXPECT_EQ(names_in(path_), expected);
  auto read = load_pretrained<BertForMaskedLM>(path_);
  std::vector<Parameter> was = model_.parameters(), is = read.model->parameters();
  ASSERT_EQ(was.size(), is.size());
  for (size_t i = 0; i < was.size(); ++i)
    EXPECT_EQ(was[i].tensor.array().to_vector<float>(), is[i].tensor.array().to_vector<float>());
}

// The tokenizer's settings are the saved model's, and its largest length is never over the model's own.
TEST_F(SavedModel, TheTokenizerIsKept) {
  TokenizerOptions options;
  options.words = {false, true, false};
  options.split_special_tokens = true;
  options.clean_up_tokenization_spaces = false;
  save_pretrained(model_, Tokenizer(small_tokenizer().vocabulary(), options), path_, 12);
  TokenizerOptions read = load_pretrained<BertForMaskedLM>(path_).tokenizer.options();
  EXPECT_FALSE(read.words.do_lower_case);
  EXPECT_EQ(read.words.strip_accents, true);
  EXPECT_FALSE(read.words.tokenize_chinese_chars);
  EXPECT_TRUE(read.split_special_tokens);
  EXPECT_FALSE(read.clean_up_tokenization_spaces);
  for (auto [said, expected] : {std::pair("15", 15), std::pair("16", 16), std::pair("17", 16),
                                std::pair("512", 16), std::pair("1e30", 16)}) {
    std::ofstream(path_ + "/tokenizer_config.json") << "{\"model_max_length\": " << said << "}";
    EXPECT_EQ(load_pretrained<BertForMaskedLM>(path_).max_length, expected) << said;
  }
}

TEST_F(SavedModel, TheLargestLengthIsKept) {
  EXPECT_EQ(load_pretrained<BertForMaskedLM>(path_).max_length, 16);  // max_position_embeddings
  save_pretrained(model_, small_tokenizer(), path_, 7);
  auto read = load_pretrained<BertForMaskedLM>(path_);
  EXPECT_EQ(read.max_length, 7);
  save_pretrained(*read.model, read.tokenizer, path_, read.max_length);
  EXPECT_EQ(read_tokenizer_config(path_ + "/tokenizer_config.json").model_max_length, 7);
}

}  // namespace
}  // namespace bertie
