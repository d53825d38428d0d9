#include "models/pretrained.h"

#include <filesystem>
#include <set>

#include "data/safetensors.h"

namespace bertie {

std::vector<std::string> load_parameters(const Module& model, const std::string& safetensors_path) {
  Safetensors file = read_safetensors(safetensors_path);
  std::set<std::string> unused;
  for (const NamedArray& tensor : file.tensors) unused.insert(tensor.name);
  std::string problems;
  for (const Parameter& parameter : model.parameters()) {
    for (size_t i = 0; i < parameter.names.size(); ++i) {
      const Array* source = file.find(parameter.names[i]);
      Array target = parameter.part(i);
      unused.erase(parameter.names[i]);
      if (!source)
        problems += "\n  missing: " + parameter.names[i] + " " + target.shape().str();
      else if (source->shape() != target.shape())
        problems += "\n  wrong shape: " + parameter.names[i] + " is " + source->shape().str() +
                    ", the model has " + target.shape().str();
      else
        target.copy_from(source->dtype() == target.dtype() ? *source : source->cast(target.dtype()));
    }
  }
  check(problems.empty(), "load", "{} doesn't fit the model:{}", safetensors_path, problems);
  return {unused.begin(), unused.end()};
}

void save_parameters(const Module& model, const std::string& safetensors_path) {
  std::vector<NamedArray> tensors;
  for (const Parameter& parameter : model.parameters())
    for (size_t i = 0; i < parameter.names.size(); ++i)
      tensors.push_back({parameter.names[i], parameter.part(i)});
  write_safetensors(safetensors_path, tensors);
}

void save_pretrained(const BertForMaskedLM& model, const Tokenizer& tokenizer, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  check(!error, "save", "can't make the folder {}: {}", directory, error.message());
  std::filesystem::remove(directory + "/model.safetensors", error);
  check(!error, "save", "can't replace {}/model.safetensors: {}", directory, error.message());
  write_bert_config(directory + "/config.json", model.config(), BertForMaskedLM::architecture);
  tokenizer.vocabulary().write(directory + "/vocab.txt");
  write_tokenizer_config(directory + "/tokenizer_config.json",
                         {tokenizer.options(), model.config().max_position_embeddings});
  save_parameters(model, directory + "/model.safetensors");
}

PretrainedMaskedLM load_pretrained_masked_lm(const std::string& directory, DType type) {
  BertConfig config = read_bert_config(directory + "/config.json");
  Tokenizer tokenizer = load_tokenizer(directory).tokenizer;
  check(tokenizer.vocabulary().size() <= config.vocab_size, "load",
        "{}/vocab.txt has {} tokens, config.json allows {}", directory, tokenizer.vocabulary().size(),
        config.vocab_size);
  auto model = std::make_unique<BertForMaskedLM>(config, Initializer::zeros(type));
  std::vector<std::string> unused = load_parameters(*model, directory + "/model.safetensors");
  model->eval();
  return {std::move(model), std::move(tokenizer), std::move(unused)};
}

}  // namespace bertie
