#include "bertie/models/pretrained.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/content_hash.h"
#include "bertie/models/model_exchange.h"
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

// What stands before all names where a program kept the model within another: "module.", "0.auto_model.".
// There are several where the file holds several models.
std::vector<std::string> foreign_prefixes(const Safetensors& weights) {
  constexpr std::string_view words = "embeddings.word_embeddings.weight", own = "bert.";
  std::vector<std::string> prefixes;
  for (const NamedArray& tensor : weights.tensors) {
    if (!tensor.name.ends_with(words)) continue;
    std::string prefix = tensor.name.substr(0, tensor.name.size() - words.size());
    if (prefix == own || prefix.ends_with("." + std::string(own))) prefix.resize(prefix.size() - own.size());
    if (!prefix.empty() && !prefix.ends_with('.')) continue;
    if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end()) prefixes.push_back(prefix);
  }
  return prefixes;
}

// Takes a single foreign prefix away and says so.
void remove_foreign_prefix(Safetensors& weights, std::vector<LoadNote>& notes) {
  std::vector<std::string> prefixes = foreign_prefixes(weights);
  if (prefixes.size() != 1 || prefixes[0].empty()) return;
  auto remove = [&](std::string& name) {
    if (name.starts_with(prefixes[0])) name.erase(0, prefixes[0].size());
  };
  for (NamedArray& tensor : weights.tensors) remove(tensor.name);
  for (std::string& name : weights.unsupported) remove(name);
  notes.push_back(
      {fmt::format("The weights' names begin with '{}', which is left away", shown(prefixes[0])), {}});
}

// What a model has but for its head.
bool is_body(const std::string& name) {
  return name.starts_with("embeddings.") || name.starts_with("encoder.");
}

// What a model for a task has on top of what it was pre-trained with.
bool is_task_head(const std::string& name) { return !is_body(name) && !name.starts_with("pooler."); }

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
  constexpr size_t named = 3, longest = 20;
  std::set<std::string> heads;
  for (const std::string& name : names) heads.insert(canonical(name).substr(0, canonical(name).find('.')));
  std::string text;
  for (auto head = heads.begin(); head != heads.end(); ++head) {
    if (!text.empty()) text += ", ";
    if (std::distance(heads.begin(), head) == named) return text + "…";
    text += shown(head->substr(0, longest)) + (head->size() <= longest ? "" : "…");
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

std::string weights_hash(const std::string& directory) {
  Safetensors weights = read_weights(directory);
  std::sort(weights.tensors.begin(), weights.tensors.end(),
            [](const NamedArray& a, const NamedArray& b) { return a.name < b.name; });
  ContentHash hash;
  for (const NamedArray& tensor : weights.tensors) {
    hash.add_item(tensor.name);
    hash.add_item(name(tensor.array.dtype()));
    hash.add_item(fmt::format("{}", tensor.array.shape()));
    hash.add_item(
        {static_cast<const char*>(tensor.array.bytes_begin()), static_cast<size_t>(tensor.array.bytes())});
  }
  return hash.hex();
}

std::vector<LoadNote> load_weights(Module& model, const Safetensors& file, const PretrainedOptions& options,
                                   double initializer_range) {
  std::vector<LoadNote> notes;
  Safetensors weights = file;
  remove_foreign_prefix(weights, notes);
  if (options.replace_head) {
    std::erase_if(weights.tensors, [](const NamedArray& t) { return is_task_head(canonical(t.name)); });
    std::erase_if(weights.unsupported, [](const std::string& t) { return is_task_head(canonical(t)); });
  }
  std::map<std::string, const NamedArray*> tensors = by_name(weights);
  std::set<std::string> used{"embeddings.position_ids", "embeddings.token_type_ids"};  // old files' buffers
  Listing missing("\n  "), hint("\n"), problems("\n  ");
  bool only_head = true;
  for (const NamedArray& wanted : named_parameters(model)) {
    std::string name = canonical(wanted.name);
    used.insert(name);
    if (name == mlm_bias) used.insert(decoder);  // of a tied one, which is the word embeddings
    if (auto found = tensors.find(name); found != tensors.end()) {
      std::string problem = mismatch(*found->second, wanted.array, true);
      if (!problem.empty()) problems.add(problem);
    } else if (std::any_of(weights.unsupported.begin(), weights.unsupported.end(),
                           [&](const std::string& other) { return canonical(other) == name; })) {
      problems.add(
          fmt::format("wrong type: {} holds no floating-point numbers that bertie reads", wanted.name));
    } else {
      only_head = only_head && !is_body(name);
      missing.add(fmt::format("missing: {} {}", wanted.name, wanted.array.shape()));
    }
  }
  std::vector<Parameter> parameters = model.parameters();
  auto has = [&](const char* name) {
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const Parameter& p) { return canonical(p.names[0]) == name; });
  };
  bool tied = has(mlm_bias) && !has(decoder);
  if (tied && has_own_decoder(tensors))
    problems.add(fmt::format("wrong values: {} differs from the word embeddings, which the model has for it",
                             tensors.at(decoder)->name));
  bool may_be_new = only_head && problems.empty() && !missing.empty();
  bool fits = problems.empty() &&
              (missing.empty() || (may_be_new && (options.allow_new_head || options.replace_head)));
  if (may_be_new) hint.add("Only the head is missing; --allow-new-head starts it at random");
  if (std::vector<std::string> models = foreign_prefixes(weights); !missing.empty() && models.size() > 1)
    hint.add(fmt::format("The file holds several models, whose names begin with '{}'",
                         shown(fmt::format("{}", fmt::join(models, "', '")))));
  BERTIE_CHECK(fits, "load", "{} doesn't fit the model:{}{}{}", weights.path, missing, problems, hint);

  std::vector<std::string> made;
  uint64_t stream = 0;
  for (Parameter& parameter : parameters) {
    std::vector<const Array*> parts;
    for (const std::string& name : parameter.names)
      if (auto found = tensors.find(canonical(name)); found != tensors.end())
        parts.push_back(&found->second->array);
      else
        made.push_back(name);
    const Shape& shape = parameter.tensor.shape();
    if (parts.size() == parameter.names.size())
      parameter.tensor.replace(assemble(parts, shape, options.type));
    else if (shape.rank() > 1)  // the others are biases and scales, which have their start
      parameter.tensor.replace(normal(shape, 0, initializer_range, options.seed, stream++, options.type));
  }
  if (!made.empty()) notes.push_back({"Not in the weights, so started at random", std::move(made)});
  std::vector<std::string> unused = weights.unsupported;
  for (const NamedArray& tensor : weights.tensors)
    if (!used.contains(canonical(tensor.name))) unused.push_back(tensor.name);
  if (!unused.empty())
    notes.push_back({fmt::format("Not used by this model: {} tensor{} ({})", unused.size(),
                                 unused.size() == 1 ? "" : "s", heads_of(unused)),
                     {}});
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
  finish_exchange(directory);
  std::vector<LoadNote> notes;
  BertConfig config = read_bert_config(directory + "/config.json", &notes);
  PretrainedTokenizer tokenizer = load_tokenizer(directory);
  notes.insert(notes.end(), tokenizer.notes.begin(), tokenizer.notes.end());
  int32_t tokens = tokenizer.tokenizer.vocabulary().size();
  BERTIE_CHECK(tokens <= config.vocab_size, "load", "{}: the vocabulary has {} tokens, config.json allows {}",
               directory, tokens, config.vocab_size);
  Safetensors weights = read_weights(directory);
  remove_foreign_prefix(weights, notes);
  // A decoder of its own is one, whatever the configuration says: transformers takes it for one, too.
  if (config.tie_word_embeddings && has_own_decoder(by_name(weights))) {
    config.tie_word_embeddings = false;
    notes.push_back(
        {"The weights' decoder differs from the word embeddings, so tie_word_embeddings is false", {}});
  }
  int64_t max_length = std::min(tokenizer.model_max_length.value_or(config.max_position_embeddings),
                                config.max_position_embeddings);
  return {std::move(config), std::move(tokenizer.tokenizer), max_length, std::move(weights),
          std::move(notes)};
}

void write_pretrained_files(const Module& model, const BertConfig& config, const std::string& architecture,
                            const Tokenizer& tokenizer, const std::string& directory, int64_t max_length,
                            const std::vector<NamedText>& more) {
  ModelExchange exchange(directory);
  std::string aside = exchange.aside() + "/";
  write_bert_config(aside + "config.json", config, architecture);
  tokenizer.vocabulary().write(aside + "vocab.txt");
  write_tokenizer_config(aside + "tokenizer_config.json",
                         {tokenizer.options(), max_length, tokenizer.vocabulary().added_tokens()});
  save_weights(model, aside + "model.safetensors");
  for (const NamedText& file : more) write_file_atomically(aside + file.name, file.text);
  exchange.take_places();
}

}  // namespace bertie
