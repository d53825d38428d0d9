#include "bertie/models/pretrained.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "bertie/data/files/atomic_file.h"
#include "bertie/nn/parameter_file.h"

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
    BERTIE_CHECK(bias, "load", "{} has the same tensor as {} and as {}", weights.path, place->second->name,
                 tensor.name);
    if (tensor.name == decoder_bias) place->second = &tensor;
  }
  return tensors;
}

// Which parts of a model tensors are of, "cls, pooler": usually whole heads, so that few words tell of many.
std::string heads_of(const std::vector<std::string>& names) {
  constexpr size_t shown = 3, longest = 20;
  std::set<std::string> heads;
  for (const std::string& name : names) heads.insert(canonical(name).substr(0, canonical(name).find('.')));
  std::string text;
  for (auto head = heads.begin(); head != heads.end(); ++head) {
    if (!text.empty()) text += ", ";
    if (std::distance(heads.begin(), head) == shown) return text + "…";
    text += head->size() <= longest ? *head : head->substr(0, longest) + "…";
  }
  return text;
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

// A decoder of other values than the word embeddings.
bool has_own_decoder(const std::map<std::string, const NamedArray*>& tensors) {
  auto own = tensors.find(decoder), words = tensors.find("embeddings.word_embeddings.weight");
  return own != tensors.end() && words != tensors.end() &&
         !same_bytes(own->second->array, words->second->array);
}

// The files of a model, in the order in which they get their places: without config.json nothing loads a
// directory, without vocab.txt nothing its tokenizer.
constexpr const char* model_files[] = {"model.safetensors", "tokenizer_config.json", "vocab.txt",
                                       "config.json"};
constexpr const char* aside_prefix = "unfinished-save-";

// Other forms of weights and vocabulary and what adds to them, of another model once a new one takes the
// place.
bool is_other_form(const std::string& name) {
  bool shard =
      name.find("-of-") < name.size() && ((name.starts_with("model-") && name.ends_with(".safetensors")) ||
                                          (name.starts_with("pytorch_model-") && name.ends_with(".bin")));
  return shard || name == "model.safetensors.index.json" || name == "pytorch_model.bin" ||
         name == "pytorch_model.bin.index.json" || name == "tokenizer.json" || name == "added_tokens.json" ||
         name == "special_tokens_map.json";
}

// A folder within a model's directory in which the new files are completed before they replace the old ones.
class FilesAside {
 public:
  explicit FilesAside(const std::string& directory)
      : directory_(directory), path_(directory + "/" + aside_prefix + "XXXXXX") {
    BERTIE_CHECK(::mkdtemp(path_.data()) != nullptr, "save", "can't write into {}: {}", directory,
                 std::generic_category().message(errno));
  }
  FilesAside(const FilesAside&) = delete;
  FilesAside& operator=(const FilesAside&) = delete;
  // Once the old model is being taken apart, nothing may go before the new one is in place.
  ~FilesAside() {
    std::error_code ignored;
    if (!exchanging_) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

  void take_their_places() {
    std::vector<std::string> old(std::rbegin(model_files), std::rend(model_files));
    std::error_code error;
    fs::directory_iterator entries(directory_, error);
    BERTIE_CHECK(!error, "save", "can't list the folder {}: {}", directory_, error.message());
    for (const fs::directory_entry& entry : entries)
      if (std::string name = entry.path().filename().string(); is_other_form(name)) old.push_back(name);
    std::erase_if(old, [&](const std::string& name) {
      std::string place = directory_ + "/" + name;
      fs::file_status status = fs::status(place);
      BERTIE_CHECK(!fs::exists(status) || fs::is_regular_file(status), "save",
                   "can replace only regular files, and {} is none", place);
      return !fs::exists(fs::symlink_status(place));
    });
    std::string replaced = path_ + "/replaced";
    fs::create_directory(replaced, error);
    BERTIE_CHECK(!error, "save", "can't make the folder {}: {}", replaced, error.message());

    for (const std::string& name : old) {
      move(directory_, replaced, name);
      exchanging_ = true;
    }
    sync(replaced);
    sync(directory_);
    for (const char* name : model_files) {
      if (name == std::string("config.json")) sync(directory_);
      move(path_, directory_, name);
    }
    sync(directory_);
    exchanging_ = false;
  }

 private:
  static void move(const std::string& from, const std::string& to, const std::string& name) {
    std::error_code error;
    fs::rename(from + "/" + name, to + "/" + name, error);
    BERTIE_CHECK(!error, "save", "can't move {} from {} to {}, so the model there is incomplete: {}", name,
                 from, to, error.message());
  }
  static void sync(const std::string& folder) {
    int error = sync_folder(folder);
    BERTIE_CHECK(error == 0, "save", "can't flush the folder {}: {}", folder,
                 std::generic_category().message(error));
  }

  std::string directory_, path_;
  bool exchanging_ = false;
};

// Of an interrupted exchange, the way out.
void check_complete(const std::string& directory) {
  std::error_code error;
  if (fs::exists(directory + "/config.json", error)) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
    BERTIE_CHECK(
        !entry.path().filename().string().starts_with(aside_prefix), "load",
        "{} has no config.json: a save into it was interrupted. The model's new files that hadn't their "
        "place yet are in {}, the old ones in replaced/ within it",
        directory, entry.path().string());
}

}  // namespace

Safetensors read_weights(const std::string& directory) {
  std::string path = directory + "/model.safetensors", index = path + ".index.json";
  if (!fs::exists(path) && fs::exists(index)) return read_safetensors_shards(index);
  for (const char* name : {"/pytorch_model.bin", "/pytorch_model.bin.index.json"})
    BERTIE_CHECK(
        fs::exists(path) || !fs::exists(directory + name), "load",
        "{} has no model.safetensors; scripts/convert_pytorch_bin.py {} makes it of pytorch_model.bin",
        directory, directory);
  return read_safetensors(path);
}

std::vector<std::string> load_weights(Module& model, const Safetensors& weights,
                                      const PretrainedOptions& options, double initializer_range) {
  std::map<std::string, const NamedArray*> tensors = by_name(weights);
  std::set<std::string> used{"embeddings.position_ids", "embeddings.token_type_ids"};  // old files' buffers
  std::string missing, problems;
  bool only_head = true;
  for (const NamedArray& wanted : named_parameters(model)) {
    std::string name = canonical(wanted.name);
    used.insert(name);
    if (name == mlm_bias) used.insert(decoder);  // of a tied one, which is the word embeddings
    if (auto found = tensors.find(name); found != tensors.end()) {
      problems += mismatch(*found->second, wanted.array, true);
    } else {
      only_head = only_head && !is_body(name);
      missing += "\n  missing: " + wanted.name + " " + wanted.array.shape().str();
    }
  }
  std::vector<Parameter> parameters = model.parameters();
  auto has = [&](const char* name) {
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const Parameter& p) { return canonical(p.names[0]) == name; });
  };
  bool tied = has(mlm_bias) && !has(decoder);
  if (tied && has_own_decoder(tensors))
    problems +=
        fmt::format("\n  wrong values: {} differs from the word embeddings, which the model has for it",
                    tensors.at(decoder)->name);
  bool may_be_new = only_head && problems.empty() && !missing.empty();
  if (may_be_new && !options.allow_new_head)
    missing += "\nOnly the head is missing; --allow-new-head starts it at random";
  if (!may_be_new || !options.allow_new_head) problems = missing + problems;
  BERTIE_CHECK(problems.empty(), "load", "{} doesn't fit the model:{}", weights.path, problems);

  std::vector<std::string> notes;
  std::string made;
  uint64_t stream = 0;
  for (Parameter& parameter : parameters) {
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
  if (!made.empty()) notes.push_back("Not in the weights, so started at random:" + made);
  std::vector<std::string> unused = weights.unsupported;
  for (const NamedArray& tensor : weights.tensors)
    if (!used.contains(canonical(tensor.name))) unused.push_back(tensor.name);
  if (!unused.empty())
    notes.push_back(fmt::format("Not used by this model: {} tensors ({})", unused.size(), heads_of(unused)));
  return notes;
}

void save_weights(const Module& model, const std::string& safetensors_path) {
  std::vector<NamedArray> tensors = named_parameters(model);
  auto find = [&](const char* name) {
    return std::find_if(tensors.begin(), tensors.end(), [&](const NamedArray& t) { return t.name == name; });
  };
  // transformers computes an untied decoder with a bias of its own.
  if (auto bias = find(mlm_bias); bias != tensors.end() && find(decoder) != tensors.end())
    tensors.insert(bias + 1, {decoder_bias, bias->array});
  write_safetensors(safetensors_path, tensors);
}

PretrainedFiles read_pretrained_files(const std::string& directory) {
  check_complete(directory);
  BertConfig config = read_bert_config(directory + "/config.json");
  PretrainedTokenizer tokenizer = load_tokenizer(directory);
  int32_t tokens = tokenizer.tokenizer.vocabulary().size();
  BERTIE_CHECK(tokens <= config.vocab_size, "load", "{}: the vocabulary has {} tokens, config.json allows {}",
               directory, tokens, config.vocab_size);
  Safetensors weights = read_weights(directory);
  // A decoder of its own is one, whatever the configuration says: transformers takes it for one, too.
  std::vector<std::string> notes;
  if (config.tie_word_embeddings && has_own_decoder(by_name(weights))) {
    config.tie_word_embeddings = false;
    notes.push_back("The weights' decoder differs from the word embeddings, so tie_word_embeddings is false");
  }
  int64_t max_length = std::min(tokenizer.model_max_length.value_or(config.max_position_embeddings),
                                config.max_position_embeddings);
  return {std::move(config), std::move(tokenizer.tokenizer), max_length, std::move(weights),
          std::move(notes)};
}

void write_pretrained_files(const Module& model, const BertConfig& config, const std::string& architecture,
                            const Tokenizer& tokenizer, const std::string& directory, int64_t max_length) {
  std::error_code error;
  fs::create_directories(directory, error);
  BERTIE_CHECK(!error, "save", "can't make the folder {}: {}", directory, error.message());
  FilesAside aside(directory);
  write_bert_config(aside.path() + "/config.json", config, architecture);
  tokenizer.vocabulary().write(aside.path() + "/vocab.txt");
  write_tokenizer_config(aside.path() + "/tokenizer_config.json", {tokenizer.options(), max_length});
  save_weights(model, aside.path() + "/model.safetensors");
  aside.take_their_places();
}

}  // namespace bertie
