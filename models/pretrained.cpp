#include "models/pretrained.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

namespace bertie {
namespace {

namespace fs = std::filesystem;

constexpr const char* decoder = "cls.predictions.decoder.weight";
constexpr const char* decoder_bias = "cls.predictions.decoder.bias";
constexpr const char* mlm_bias = "cls.predictions.bias";

// The one name of what files name in several ways.
std::string canonical(std::string name) {
  if (name.starts_with("bert.")) name.erase(0, 5);
  if (name.ends_with("LayerNorm.gamma")) name.replace(name.size() - 5, 5, "weight");
  if (name.ends_with("LayerNorm.beta")) name.replace(name.size() - 4, 4, "bias");
  return name == decoder_bias ? mlm_bias : name;
}

// What a model has but for its head.
bool is_body(const std::string& name) {
  return name.starts_with("embeddings.") || name.starts_with("encoder.");
}

// The tensors of a file by canonical names. Of the decoder's bias under both names, which an untied decoder
// has, the one that transformers computes with.
std::map<std::string, const NamedArray*> by_name(const Safetensors& weights) {
  std::map<std::string, const NamedArray*> tensors;
  for (const NamedArray& tensor : weights.tensors) {
    auto [place, is_new] = tensors.emplace(canonical(tensor.name), &tensor);
    if (is_new) continue;
    bool bias = place->first == mlm_bias;
    check(bias, "load", "{} has the same tensor as {} and as {}", weights.path, place->second->name,
          tensor.name);
    if (tensor.name == decoder_bias) place->second = &tensor;
  }
  return tensors;
}

bool is_number(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
}

// The parts one below the other; a single one that needs no conversion is taken as it is.
Array assemble(const std::vector<const Array*>& parts, const Shape& shape, DType type) {
  if (parts.size() == 1 && parts[0]->dtype() == type) return *parts[0];
  Array whole = Array::empty(shape, type);
  int64_t row = 0;
  for (const Array* part : parts) {
    Array place = whole.rows(row, row + part->shape()[0]);
    place.copy_from(part->dtype() == type ? *part : part->cast(type));
    row += part->shape()[0];
  }
  return whole;
}

bool same_bytes(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.bytes_begin(), b.bytes_begin(), a.bytes()) == 0;
}

}  // namespace

Safetensors read_weights(const std::string& directory) {
  std::string path = directory + "/model.safetensors", index = path + ".index.json";
  if (!fs::exists(path) && fs::exists(index)) return read_safetensors_shards(index);
  for (const char* name : {"/pytorch_model.bin", "/pytorch_model.bin.index.json"})
    check(fs::exists(path) || !fs::exists(directory + name), "load",
          "{} has no model.safetensors; scripts/convert_pytorch_bin.py {} makes it of pytorch_model.bin",
          directory, directory);
  return read_safetensors(path);
}

std::vector<std::string> load_parameters(const Module& model, const Safetensors& weights,
                                         const PretrainedOptions& options, double initializer_range) {
  std::map<std::string, const NamedArray*> tensors = by_name(weights);
  std::set<std::string> used{"embeddings.position_ids", "embeddings.token_type_ids"};  // old files' buffers
  std::string missing, problems;
  bool only_head = true;
  std::vector<Parameter> parameters = model.parameters();
  for (const Parameter& parameter : parameters) {
    for (size_t i = 0; i < parameter.names.size(); ++i) {
      std::string name = canonical(parameter.names[i]);
      Shape shape = parameter.part(i).shape();
      used.insert(name);
      if (name == mlm_bias) used.insert(decoder);  // of a tied one, which is the word embeddings
      auto found = tensors.find(name);
      if (found == tensors.end()) {
        only_head = only_head && !is_body(name);
        missing += "\n  missing: " + parameter.names[i] + " " + shape.str();
      } else if (const Array& array = found->second->array;
                 array.shape() != shape || !is_number(array.dtype())) {
        problems +=
            fmt::format("\n  wrong shape: {} is {} {}, the model has {} {}", found->second->name,
                        bertie::name(array.dtype()), array.shape(), bertie::name(options.type), shape);
      }
    }
  }
  bool new_head = options.allow_new_head && only_head && !missing.empty();
  if (!new_head) problems = missing + problems;
  if (!options.allow_new_head && only_head && !missing.empty())
    problems += "\nOnly the head is missing; --allow-new-head starts it at random";
  check(problems.empty(), "load", "{} doesn't fit the model:{}", weights.path, problems);

  std::vector<std::string> notes;
  std::string made, unused;
  uint64_t stream = 0;
  for (const Parameter& parameter : parameters) {
    std::vector<const Array*> parts;
    for (const std::string& name : parameter.names)
      if (auto found = tensors.find(canonical(name)); found != tensors.end())
        parts.push_back(&found->second->array);
      else
        made += " " + name;
    const Shape& shape = parameter.tensor.shape();
    if (parts.size() == parameter.names.size())
      parameter.tensor.replace(assemble(parts, shape, options.type));
    else if (shape.rank() > 1)  // the others are biases and scales, which have their start
      parameter.tensor.replace(normal(shape, 0, initializer_range, 0, stream++, options.type));
  }
  for (const NamedArray& tensor : weights.tensors)
    if (!used.contains(canonical(tensor.name))) unused += " " + tensor.name;
  if (!made.empty()) notes.push_back("Not in the weights, so started at random:" + made);
  if (!unused.empty()) notes.push_back("Not used by this model:" + unused);
  return notes;
}

void save_parameters(const Module& model, const std::string& safetensors_path) {
  std::vector<NamedArray> tensors;
  bool untied = false;
  for (const Parameter& parameter : model.parameters()) {
    for (size_t i = 0; i < parameter.names.size(); ++i) {
      tensors.push_back({parameter.names[i], parameter.part(i)});
      untied = untied || parameter.names[i] == decoder;
      // transformers computes an untied decoder with a bias of its own.
      if (untied && parameter.names[i] == mlm_bias) tensors.push_back({decoder_bias, parameter.part(i)});
    }
  }
  write_safetensors(safetensors_path, tensors);
}

PretrainedFiles read_pretrained_files(const std::string& directory) {
  BertConfig config = read_bert_config(directory + "/config.json");
  PretrainedTokenizer tokenizer = load_tokenizer(directory);
  int32_t tokens = tokenizer.tokenizer.vocabulary().size();
  check(tokens <= config.vocab_size, "load", "{}: the vocabulary has {} tokens, config.json allows {}",
        directory, tokens, config.vocab_size);
  Safetensors weights = read_weights(directory);
  // A decoder of other values than the word embeddings is a decoder of its own, whatever the configuration
  // says: transformers takes it for one, too.
  std::map<std::string, const NamedArray*> tensors = by_name(weights);
  auto own = tensors.find(decoder), words = tensors.find("embeddings.word_embeddings.weight");
  if (own != tensors.end() && words != tensors.end() && !same_bytes(own->second->array, words->second->array))
    config.tie_word_embeddings = false;
  int64_t max_length = std::min(tokenizer.model_max_length.value_or(config.max_position_embeddings),
                                config.max_position_embeddings);
  return {std::move(config), std::move(tokenizer.tokenizer), max_length, std::move(weights)};
}

void write_pretrained_files(const Module& model, const BertConfig& config, const std::string& architecture,
                            const Tokenizer& tokenizer, const std::string& directory) {
  std::string weights = directory + "/model.safetensors", aside = weights + ".new";
  std::error_code error;
  fs::create_directories(directory, error);
  check(!error, "save", "can't make the folder {}: {}", directory, error.message());
  save_parameters(model, aside);
  // tokenizer.json is another form of vocab.txt that transformers prefers to it; one of before is out of
  // date.
  for (const std::string& old : {weights, directory + "/tokenizer.json"}) {
    fs::remove(old, error);
    check(!error, "save", "can't replace {}: {}", old, error.message());
  }
  write_bert_config(directory + "/config.json", config, architecture);
  tokenizer.vocabulary().write(directory + "/vocab.txt");
  write_tokenizer_config(directory + "/tokenizer_config.json",
                         {tokenizer.options(), config.max_position_embeddings});
  fs::rename(aside, weights, error);
  check(!error, "save", "can't give {} its name {}: {}", aside, weights, error.message());
}

}  // namespace bertie
