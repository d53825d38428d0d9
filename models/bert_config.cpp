#include "bertie/models/bert_config.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bertie/autograd/error.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

constexpr int64_t max_labels = 1'000'000;

// Calls visit(key, field, required) for every key of config.json that bertie reads and writes.
template <class Config, class Visit>
void for_each_key(Config& config, Visit visit) {
  visit("vocab_size", config.vocab_size, true);
  visit("hidden_size", config.hidden_size, true);
  visit("num_hidden_layers", config.num_hidden_layers, true);
  visit("num_attention_heads", config.num_attention_heads, true);
  visit("intermediate_size", config.intermediate_size, true);
  visit("max_position_embeddings", config.max_position_embeddings, true);
  visit("type_vocab_size", config.type_vocab_size, false);
  visit("hidden_act", config.hidden_act, false);
  visit("hidden_dropout_prob", config.hidden_dropout_prob, false);
  visit("attention_probs_dropout_prob", config.attention_probs_dropout_prob, false);
  visit("initializer_range", config.initializer_range, false);
  visit("layer_norm_eps", config.layer_norm_eps, false);
  visit("pad_token_id", config.pad_token_id, false);
  visit("classifier_dropout", config.classifier_dropout, false);
  visit("tie_word_embeddings", config.tie_word_embeddings, false);
}

// Other names of transformers for the same functions.
constexpr std::pair<const char*, const char*> activation_aliases[] = {{"gelu_python", "gelu"},
                                                                      {"gelu_fast", "gelu_new"},
                                                                      {"gelu_accurate", "gelu_new"},
                                                                      {"gelu_pytorch_tanh", "gelu_new"},
                                                                      {"gelu_python_tanh", "gelu_new"}};

// Keys that change no number: what a program notes down, how a caller wants results, what is for training or
// generating text, and the remains of BERT's first pooler, which transformers doesn't have.
constexpr std::string_view harmless_keys[] = {"_name_or_path",
                                              "name_or_path",
                                              "_commit_hash",
                                              "_attn_implementation",
                                              "_attn_implementation_autoset",
                                              "attn_implementation",
                                              "architectures",
                                              "transformers_version",
                                              "torch_dtype",
                                              "dtype",
                                              "torchscript",
                                              "use_cache",
                                              "gradient_checkpointing",
                                              "output_attentions",
                                              "output_hidden_states",
                                              "output_past",
                                              "return_dict",
                                              "use_return_dict",
                                              "chunk_size_feed_forward",
                                              "finetuning_task",
                                              "task_specific_params",
                                              "label2id",
                                              "bos_token_id",
                                              "eos_token_id",
                                              "sep_token_id",
                                              "cls_token_id",
                                              "mask_token_id",
                                              "decoder_start_token_id",
                                              "forced_bos_token_id",
                                              "forced_eos_token_id",
                                              "tie_encoder_decoder",
                                              "cross_attention_hidden_size",
                                              "is_composition",
                                              "prefix",
                                              "tokenizer_class",  // judged with the tokenizer
                                              "directionality",
                                              "pooler_fc_size",
                                              "pooler_num_attention_heads",
                                              "pooler_num_fc_layers",
                                              "pooler_size_per_head",
                                              "pooler_type",
                                              "max_length",
                                              "min_length",
                                              "do_sample",
                                              "early_stopping",
                                              "num_beams",
                                              "num_beam_groups",
                                              "diversity_penalty",
                                              "temperature",
                                              "top_k",
                                              "top_p",
                                              "typical_p",
                                              "repetition_penalty",
                                              "length_penalty",
                                              "no_repeat_ngram_size",
                                              "encoder_no_repeat_ngram_size",
                                              "bad_words_ids",
                                              "num_return_sequences",
                                              "output_scores",
                                              "return_dict_in_generate",
                                              "remove_invalid_values",
                                              "exponential_decay_length_penalty",
                                              "suppress_tokens",
                                              "begin_suppress_tokens",
                                              "tf_legacy_loss",
                                              "use_bfloat16",
                                              "xla_device"};
constexpr std::string_view label_keys[] = {"id2label", "num_labels", "problem_type"};

// What bertie computes; null stands for it, too.
const std::pair<const char*, Json> only_values[] = {
    {"model_type", "bert"},          {"position_embedding_type", "absolute"},
    {"is_decoder", false},           {"is_encoder_decoder", false},
    {"add_cross_attention", false},  {"pruned_heads", Json::object()},
    {"quantization_config", nullptr}};

// id2label, {"0": name, "1": …}, in the order of its numbers; or as many default names as num_labels says.
void read_labels(const Json& json, const std::string& path, BertConfig& config) {
  auto problem = [&](const std::string& text) { config.labels_problem = path + ": " + text; };
  auto given = json.find("id2label");
  auto count = json.find("num_labels");
  bool counted = count != json.end() && !count->is_null();
  if (counted && !(count->is_number_integer() && *count >= 1 && *count <= max_labels))
    return problem(fmt::format("num_labels must be in 1 … {}, got {}", max_labels, count->dump()));
  if (given == json.end() || given->is_null()) {
    config.labels.clear();
    for (int64_t i = 0; i < (counted ? count->get<int64_t>() : 2); ++i)
      config.labels.push_back(fmt::format("LABEL_{}", i));
    return;
  }
  if (!given->is_object()) return problem("id2label must be an object, got " + given->dump());
  if (given->empty()) return problem("id2label has no entries");
  std::vector<std::string> labels;
  for (size_t i = 0; i < given->size(); ++i) {
    auto label = given->find(std::to_string(i));
    if (label == given->end() || !label->is_string())
      return problem(fmt::format("id2label has {} entries, but no name for \"{}\"", given->size(), i));
    labels.push_back(label->get<std::string>());
  }
  if (counted && *count != labels.size())
    return problem(
        fmt::format("num_labels is {}, but id2label has {} entries", count->dump(), labels.size()));
  config.labels = std::move(labels);
}

template <class Field>
void read_value(const Json& value, Field& field, const std::string& path, const char* key) {
  if constexpr (std::is_same_v<Field, std::optional<double>>)
    return read_value(value, field.emplace(), path, key);
  else {
    auto [fits, kind] = std::is_same_v<Field, std::string> ? std::pair(value.is_string(), "a string")
                        : std::is_same_v<Field, double>    ? std::pair(value.is_number(), "a number")
                        : std::is_same_v<Field, bool>      ? std::pair(value.is_boolean(), "true or false")
                                                      : std::pair(value.is_number_integer(), "an integer");
    BERTIE_CHECK(fits, "config", "{}: {} must be {}, got {}", path, key, kind, value.dump());
    field = value.get<Field>();
  }
}

template <class Field>
void write_value(nlohmann::ordered_json& json, const Field& field) {
  if constexpr (std::is_same_v<Field, std::optional<double>>)
    json = field ? nlohmann::ordered_json(*field) : nlohmann::ordered_json(nullptr);
  else
    json = field;
}

void refuse_unless(const Json& json, const std::string& path, const char* key, const Json& supported) {
  if (!json.contains(key) || json[key].is_null() || json[key] == supported) return;
  fail("config", "{}: {} must be {}, got {}", path, key, supported.dump(), json[key].dump());
}

std::vector<std::string> unknown_keys(const Json& json) {
  std::set<std::string, std::less<>> known(std::begin(harmless_keys), std::end(harmless_keys));
  known.insert(std::begin(label_keys), std::end(label_keys));
  for (const auto& [key, value] : only_values) known.insert(key);
  BertConfig config;
  for_each_key(config, [&](const char* key, auto&, bool) { known.insert(key); });
  std::vector<std::string> names;
  for (const auto& [key, value] : json.items())
    if (!known.contains(key)) names.push_back(key);
  return names;
}

}  // namespace

void BertConfig::check_values(const std::string& where) const {
  auto within = [&](const char* key, int64_t value, int64_t largest) {
    BERTIE_CHECK(value >= 1 && value <= largest, "config", "{}: {} must be in 1 … {}, got {}", where, key,
                 largest, value);
  };
  within("vocab_size", vocab_size, 10'000'000);
  within("hidden_size", hidden_size, 65'536);
  within("num_hidden_layers", num_hidden_layers, 1'000);
  within("num_attention_heads", num_attention_heads, 4'096);
  within("intermediate_size", intermediate_size, 1'000'000);
  within("max_position_embeddings", max_position_embeddings, 65'536);
  within("type_vocab_size", type_vocab_size, 1'000);
  const char* activations[] = {"gelu", "gelu_new", "relu", "tanh"};
  BERTIE_CHECK(std::find(std::begin(activations), std::end(activations), hidden_act) != std::end(activations),
               "config", "{}: hidden_act must be gelu, gelu_new, relu or tanh, got '{}'", where, hidden_act);
  BERTIE_CHECK(hidden_size % num_attention_heads == 0, "config",
               "{}: num_attention_heads must divide hidden_size, got {} and {}", where, num_attention_heads,
               hidden_size);
  for (double rate : {hidden_dropout_prob, attention_probs_dropout_prob})
    BERTIE_CHECK(rate >= 0 && rate <= 1, "config", "{}: a dropout rate must be in 0 … 1, got {}", where,
                 rate);
  BERTIE_CHECK(initializer_range >= 0 && layer_norm_eps > 0, "config",
               "{}: initializer_range must be ≥ 0 and layer_norm_eps > 0, got {} and {}", where,
               initializer_range, layer_norm_eps);
  double needed = 4.0 * static_cast<double>(parameter_count());
  double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  BERTIE_CHECK(needed <= memory, "config", "{}: {} parameters take {:.1f} GB, this machine has {:.1f}", where,
               parameter_count(), needed / 1e9, memory / 1e9);
}

int64_t BertConfig::num_labels() const {
  BERTIE_CHECK(labels_problem.empty() && !labels.empty(), "config", "{}",
               labels_problem.empty() ? "a model with labels must have some" : labels_problem);
  return static_cast<int64_t>(labels.size());
}

int64_t BertConfig::parameter_count() const {
  int64_t norm = 2 * hidden_size, square = hidden_size * (hidden_size + 1);
  int64_t embeddings = (vocab_size + max_position_embeddings + type_vocab_size) * hidden_size + norm;
  int64_t layer =
      4 * square + 2 * hidden_size * intermediate_size + intermediate_size + hidden_size + 2 * norm;
  return embeddings + num_hidden_layers * layer + square;
}

const std::vector<std::string>& bert_preset_names() {
  static const std::vector<std::string> names{"tiny", "mini", "small", "medium", "base"};
  return names;
}

BertConfig bert_preset(const std::string& name) {
  constexpr int64_t sizes[][2] = {{2, 128}, {4, 256}, {4, 512}, {8, 512}, {12, 768}};  // layers, hidden size
  const std::vector<std::string>& names = bert_preset_names();
  size_t index = std::find(names.begin(), names.end(), name) - names.begin();
  BERTIE_CHECK(index < names.size(), "preset", "must be tiny, mini, small, medium or base, got '{}'", name);
  BertConfig config;
  config.num_hidden_layers = sizes[index][0];
  config.hidden_size = sizes[index][1];
  config.num_attention_heads = config.hidden_size / 64;
  config.intermediate_size = 4 * config.hidden_size;
  return config;
}

BertConfig read_bert_config(const std::string& path, std::vector<LoadNote>* notes) {
  Json json = parse_json_object("config", path, read_file(path));
  for (const auto& [key, value] : only_values) refuse_unless(json, path, key, value);
  BertConfig config;
  for_each_key(config, [&](const char* key, auto& field, bool required) {
    if (!json.contains(key) || json[key].is_null()) {
      BERTIE_CHECK(!required, "config", "{}: the key {} is missing", path, key);
      return;
    }
    read_value(json[key], field, path, key);
  });
  for (auto [alias, name] : activation_aliases)
    if (config.hidden_act == alias) config.hidden_act = name;
  read_labels(json, path, config);
  // Which of them there are is judged where the head is made.
  if (json.contains("problem_type") && !json["problem_type"].is_null())
    config.problem_type = json["problem_type"].is_string() ? json["problem_type"].get<std::string>()
                                                           : json["problem_type"].dump();
  if (auto names = json.find("architectures");
      names != json.end() && names->is_array() && names->size() == 1 && names->front().is_string())
    config.architecture = names->front().get<std::string>();
  config.check_values(path);
  std::vector<std::string> names = unknown_keys(json);
  if (notes && !names.empty())
    notes->push_back({path + " has keys that bertie doesn't know and doesn't follow", std::move(names)});
  return config;
}

std::string bert_config_json(const BertConfig& config, const std::string& architecture) {
  nlohmann::ordered_json json;
  json["architectures"] = {architecture};
  json["model_type"] = "bert";
  for_each_key(config, [&](const char* key, const auto& field, bool) { write_value(json[key], field); });
  // Not json[…][label], which compares the label with all before it.
  std::map<std::string, size_t> ids;
  auto& labels =
      (json["id2label"] = nlohmann::ordered_json::object()).get_ref<nlohmann::ordered_json::object_t&>();
  for (size_t i = 0; i < config.labels.size(); ++i) {
    labels.emplace_back(std::to_string(i), config.labels[i]);
    ids[config.labels[i]] = i;
  }
  json["label2id"] = ids;
  if (!config.problem_type.empty()) json["problem_type"] = config.problem_type;
  json["position_embedding_type"] = "absolute";
  return json.dump(2) + "\n";
}

void write_bert_config(const std::string& path, const BertConfig& config, const std::string& architecture) {
  write_file_atomically(path, bert_config_json(config, architecture));
}

}  // namespace bertie
