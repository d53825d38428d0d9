#include "models/bert_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "autograd/error.h"
#include "data/atomic_file.h"
#include "data/mapped_file.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

constexpr int max_depth = 64;  // of nested values; without a bound, dump() would overflow the stack

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
}

void refuse_unless(const Json& json, const std::string& path, const char* key, const Json& supported) {
  if (!json.contains(key) || json[key].is_null() || json[key] == supported) return;
  fail("config", "{}: {} must be {}, got {}", path, key, supported.dump(), json[key].dump());
}

}  // namespace

void BertConfig::check_values(const std::string& where) const {
  auto within = [&](const char* key, int64_t value, int64_t largest) {
    check(value >= 1 && value <= largest, "config", "{}: {} must be in 1 … {}, got {}", where, key, largest,
          value);
  };
  within("vocab_size", vocab_size, 10'000'000);
  within("hidden_size", hidden_size, 65'536);
  within("num_hidden_layers", num_hidden_layers, 1'000);
  within("num_attention_heads", num_attention_heads, 4'096);
  within("intermediate_size", intermediate_size, 1'000'000);
  within("max_position_embeddings", max_position_embeddings, 65'536);
  within("type_vocab_size", type_vocab_size, 1'000);
  const char* activations[] = {"gelu", "gelu_new", "relu", "tanh"};
  check(std::find(std::begin(activations), std::end(activations), hidden_act) != std::end(activations),
        "config", "{}: hidden_act must be gelu, gelu_new, relu or tanh, got '{}'", where, hidden_act);
  check(hidden_size % num_attention_heads == 0, "config",
        "{}: num_attention_heads must divide hidden_size, got {} and {}", where, num_attention_heads,
        hidden_size);
  for (double rate : {hidden_dropout_prob, attention_probs_dropout_prob})
    check(rate >= 0 && rate < 1, "config", "{}: a dropout rate must be in 0 … 1 (1 excluded), got {}", where,
          rate);
  check(initializer_range >= 0 && layer_norm_eps > 0, "config",
        "{}: initializer_range must be ≥ 0 and layer_norm_eps > 0, got {} and {}", where, initializer_range,
        layer_norm_eps);
}

const std::vector<std::string>& bert_preset_names() {
  static const std::vector<std::string> names{"tiny", "mini", "small", "medium", "base"};
  return names;
}

BertConfig bert_preset(const std::string& name) {
  constexpr int64_t sizes[][2] = {{2, 128}, {4, 256}, {4, 512}, {8, 512}, {12, 768}};  // layers, hidden size
  const std::vector<std::string>& names = bert_preset_names();
  size_t index = std::find(names.begin(), names.end(), name) - names.begin();
  check(index < names.size(), "preset", "must be tiny, mini, small, medium or base, got '{}'", name);
  BertConfig config;
  config.num_hidden_layers = sizes[index][0];
  config.hidden_size = sizes[index][1];
  config.num_attention_heads = config.hidden_size / 64;
  config.intermediate_size = 4 * config.hidden_size;
  return config;
}

BertConfig read_bert_config(const std::string& path) {
  auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    check(depth <= max_depth, "config", "{}: values must not be nested deeper than {}", path, max_depth);
    return true;
  };
  Json json = Json::parse(read_file(path), check_depth, false);
  check(json.is_object(), "config", "{}: expected a JSON object", path);
  BertConfig config;
  for_each_key(config, [&](const char* key, auto& field, bool required) {
    if (!json.contains(key) || json[key].is_null()) {
      check(!required, "config", "{}: the key {} is missing", path, key);
      return;
    }
    const Json& value = json[key];
    using Field = std::remove_reference_t<decltype(field)>;
    bool fits = std::is_same_v<Field, std::string> ? value.is_string()
                : std::is_same_v<Field, double>    ? value.is_number()
                                                   : value.is_number_integer();
    check(fits, "config", "{}: {} must be {}, got {}", path, key,
          std::is_same_v<Field, std::string> ? "a string"
          : std::is_same_v<Field, double>    ? "a number"
                                             : "an integer",
          value.dump());
    field = value.get<Field>();
  });
  refuse_unless(json, path, "model_type", "bert");
  refuse_unless(json, path, "position_embedding_type", "absolute");
  refuse_unless(json, path, "is_decoder", false);
  refuse_unless(json, path, "add_cross_attention", false);
  config.check_values(path);
  return config;
}

void write_bert_config(const std::string& path, const BertConfig& config, const std::string& architecture) {
  nlohmann::ordered_json json;
  json["architectures"] = {architecture};
  json["model_type"] = "bert";
  for_each_key(config, [&](const char* key, const auto& field, bool) { json[key] = field; });
  json["position_embedding_type"] = "absolute";
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace bertie
