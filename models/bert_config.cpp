#include "bertie/models/bert_config.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

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

// id2label, {"0": name, "1": …}, in the order of its numbers; or as many default names as num_labels says.
std::vector<std::string> read_labels(const Json& json, const std::string& path) {
  std::vector<std::string> labels;
  auto given = json.find("id2label");
  auto count = json.find("num_labels");
  bool counted = count != json.end() && !count->is_null();
  BERTIE_CHECK(!counted || (count->is_number_integer() && *count >= 1 && *count <= max_labels), "config",
               "{}: num_labels must be in 1 … {}, got {}", path, max_labels, counted ? count->dump() : "");
  if (given == json.end() || given->is_null()) {
    for (int64_t i = 0; i < (counted ? count->get<int64_t>() : 2); ++i)
      labels.push_back(fmt::format("LABEL_{}", i));
    return labels;
  }
  BERTIE_CHECK(given->is_object(), "config", "{}: id2label must be an object, got {}", path, given->dump());
  for (size_t i = 0; i < given->size(); ++i) {
    auto label = given->find(std::to_string(i));
    BERTIE_CHECK(label != given->end() && label->is_string(), "config",
                 "{}: id2label has {} entries, but no name for \"{}\"", path, given->size(), i);
    labels.push_back(label->get<std::string>());
  }
  BERTIE_CHECK(!counted || *count == labels.size(), "config",
               "{}: num_labels is {}, but id2label has {} entries", path, counted ? count->dump() : "",
               labels.size());
  return labels;
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
  within("the number of labels", num_labels(), max_labels);
  const char* problems[] = {"", "single_label_classification", "multi_label_classification", "regression"};
  BERTIE_CHECK(
      std::find(std::begin(problems), std::end(problems), problem_type) != std::end(problems), "config",
      "{}: problem_type must be single_label_classification, multi_label_classification or regression, got "
      "'{}'",
      where, problem_type);
  for (double rate :
       {hidden_dropout_prob, attention_probs_dropout_prob, classifier_dropout.value_or(hidden_dropout_prob)})
    BERTIE_CHECK(rate >= 0 && rate < 1, "config", "{}: a dropout rate must be in 0 … 1 (1 excluded), got {}",
                 where, rate);
  BERTIE_CHECK(initializer_range >= 0 && layer_norm_eps > 0, "config",
               "{}: initializer_range must be ≥ 0 and layer_norm_eps > 0, got {} and {}", where,
               initializer_range, layer_norm_eps);
  double needed = 4.0 * static_cast<double>(parameter_count());
  double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  BERTIE_CHECK(needed <= memory, "config", "{}: {} parameters take {:.1f} GB, this machine has {:.1f}", where,
               parameter_count(), needed / 1e9, memory / 1e9);
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

BertConfig read_bert_config(const std::string& path) {
  Json json = parse_json_object("config", path, read_file(path));
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
  config.labels = read_labels(json, path);
  if (json.contains("problem_type") && !json["problem_type"].is_null())
    read_value(json["problem_type"], config.problem_type, path, "problem_type");
  refuse_unless(json, path, "model_type", "bert");
  refuse_unless(json, path, "position_embedding_type", "absolute");
  refuse_unless(json, path, "is_decoder", false);
  refuse_unless(json, path, "is_encoder_decoder", false);
  refuse_unless(json, path, "add_cross_attention", false);
  refuse_unless(json, path, "pruned_heads", Json::object());
  refuse_unless(json, path, "quantization_config", nullptr);
  config.check_values(path);
  return config;
}

void write_bert_config(const std::string& path, const BertConfig& config, const std::string& architecture) {
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
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace bertie
