// A model directory as Hugging Face writes it: config.json, vocab.txt, tokenizer_config.json, and the weights
// in model.safetensors or in shards with model.safetensors.index.json.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bertie/data/files/safetensors.h"
#include "bertie/data/tokenizer/tokenizer_config.h"
#include "bertie/models/bert_config.h"
#include "bertie/nn/initializer.h"
#include "bertie/nn/module.h"

namespace bertie {

struct PretrainedOptions {
  DType type = DType::f32;  // to compute in
  // Where all that the weights lack is the model's head (or its pooler), that starts at random, N(0,
  // initializer_range) and biases 0, as in transformers, instead of being an error.
  bool allow_new_head = false;
  bool replace_head = false;  // the head starts so even if the weights have one, which isn't used
  uint64_t seed = 0;          // of a new head
  // What is to be different from config.json, such as labels or dropout, before the model is made.
  std::function<void(BertConfig&)> configure = [](BertConfig&) {};
};

template <class Model>
struct Pretrained {
  std::unique_ptr<Model> model;  // in eval mode
  Tokenizer tokenizer;
  int64_t max_length;           // tokens of a text, [CLS] and [SEP] included
  std::vector<LoadNote> notes;  // what a program prints: what is unused, what is new, what isn't followed
};

// Any of BertModel and models/bert_heads.h; further arguments go to the model's constructor behind config and
// initializer. Weights of the wanted type are used where the file is mapped into memory, so they cost nothing
// before they are read, and must not be written to: a ParameterBlock takes them along. Query, key and value,
// which are one parameter here, are copied (of BERT-base 85 MB of 440), and others are converted.
// Names may have the model's prefix `bert.` or lack it, may be the old `gamma` and `beta`, and may all begin
// with what another program put there (`module.`, `0.auto_model.`), with a note. Throws, naming
// the file, where one is missing or doesn't fit the others; all names that the weights lack, and all of
// another shape or of no number type, are listed. A decoder of other values than the word embeddings makes
// tie_word_embeddings false, with a note. Without tokenizer_config.json, which older directories lack, text
// is lower-cased.
template <class Model, class... Arguments>
Pretrained<Model> load_pretrained(const std::string& directory, const PretrainedOptions& options = {},
                                  Arguments&&... arguments);

// A further file of a model's directory, as metrics.jsonl.
struct NamedText {
  std::string name, text;
};

// Writes what transformers loads as Model::architecture; the folder is made where it isn't there.
// `max_length` is Pretrained's, in tokens; none: max_position_embeddings. May be the directory that the model
// came from. What is there is replaced all at once or not at all (models/model_exchange.h); other forms of
// weights and vocabulary (shards, pytorch_model.bin, tokenizer.json) go with the old model, and so does what
// bert_pretrain wrote about it (bertie_training.json, metrics.jsonl, report.html).
template <class Model>
void save_pretrained(const Model& model, const Tokenizer& tokenizer, const std::string& directory,
                     std::optional<int64_t> max_length = {}, const std::vector<NamedText>& more = {});

// The weights of a directory: model.safetensors, or else the shards of model.safetensors.index.json. Throws
// where there are none, naming the way out if there is a pytorch_model.bin.
Safetensors read_weights(const std::string& directory);
// Of them, by name: type, shape and every value; in how many files they are makes no difference. So a run
// that is taken up can tell whether it began with them.
std::string weights_hash(const std::string& directory);

// Makes the arrays the model's parameters, as said above for load_pretrained(); returns its notes. Throws,
// too, where the model ties the decoder to the word embeddings and the weights have another one.
std::vector<LoadNote> load_weights(Module& model, const Safetensors& weights,
                                   const PretrainedOptions& options = {}, double initializer_range = 0.02);

// As save_parameters() does (nn/parameter_file.h); an untied decoder's bias goes under both of its names.
void save_weights(const Module& model, const std::string& safetensors_path);

// The parts of load_pretrained() and save_pretrained() that know nothing of Model.
struct PretrainedFiles {
  BertConfig config;
  Tokenizer tokenizer;
  int64_t max_length;
  Safetensors weights;
  std::vector<LoadNote> notes;
};
PretrainedFiles read_pretrained_files(const std::string& directory);
void write_pretrained_files(const Module& model, const BertConfig& config, const std::string& architecture,
                            const Tokenizer& tokenizer, const std::string& directory, int64_t max_length,
                            const std::vector<NamedText>& more);

template <class Model, class... Arguments>
Pretrained<Model> load_pretrained(const std::string& directory, const PretrainedOptions& options,
                                  Arguments&&... arguments) {
  PretrainedFiles files = read_pretrained_files(directory);
  options.configure(files.config);
  Initializer init = Initializer::unset(options.type);
  auto model = std::make_unique<Model>(files.config, init, std::forward<Arguments>(arguments)...);
  for (LoadNote& note : load_weights(*model, files.weights, options, files.config.initializer_range))
    files.notes.push_back(std::move(note));
  model->eval();
  return {std::move(model), std::move(files.tokenizer), files.max_length, std::move(files.notes)};
}

template <class Model>
void save_pretrained(const Model& model, const Tokenizer& tokenizer, const std::string& directory,
                     std::optional<int64_t> max_length, const std::vector<NamedText>& more) {
  write_pretrained_files(model, model.config(), Model::architecture, tokenizer, directory,
                         max_length.value_or(model.config().max_position_embeddings), more);
}

}  // namespace bertie
