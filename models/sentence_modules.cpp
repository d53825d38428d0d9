#include "bertie/models/sentence_modules.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bertie/autograd/error.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/layers.h"
#include "bertie/ops/layer_norm.h"
#include "bertie/ops/matmul.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

constexpr const char* where = "sentence_modules";
constexpr const char* modes_by_key[][2] = {{"pooling_mode_cls_token", "cls"},
                                           {"pooling_mode_max_tokens", "max"},
                                           {"pooling_mode_mean_tokens", "mean"},
                                           {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
                                           {"pooling_mode_weightedmean_tokens", "weightedmean"},
                                           {"pooling_mode_lasttoken", "lasttoken"}};

// One mode's embedding of the tokens [begin, end) of a sequence that starts at `start`.
template <class T>
void pool_one(const T* x, int64_t width, int64_t start, int64_t begin, int64_t end, const std::string& mode,
              T* out) {
  auto row = [&](int64_t t) { return x + t * width; };
  if (mode == "cls" || mode == "lasttoken") {
    std::copy_n(row(mode == "cls" ? begin : end - 1), width, out);
  } else if (mode == "max") {
    std::copy_n(row(begin), width, out);
    for (int64_t t = begin + 1; t < end; ++t)  // a NaN stays one
      for (int64_t i = 0; i < width; ++i)
        out[i] = row(t)[i] > out[i] || std::isnan(row(t)[i]) ? row(t)[i] : out[i];
  } else {
    std::vector<double> sums(width);
    double weights = 0;
    for (int64_t t = begin; t < end; ++t) {
      double weight = mode == "weightedmean" ? static_cast<double>(t - start + 1) : 1.0;
      weights += weight;
      for (int64_t i = 0; i < width; ++i) sums[i] += weight * static_cast<double>(row(t)[i]);
    }
    double divisor = mode == "mean_sqrt_len_tokens" ? std::sqrt(weights) : weights;
    for (int64_t i = 0; i < width; ++i) out[i] = static_cast<T>(sums[i] / divisor);
  }
}

// A JSON file of a directory, empty where it isn't there.
class Settings {
 public:
  Settings(std::string path, std::vector<LoadNote>& notes) : path_(std::move(path)), notes_(notes) {
    json_ = std::filesystem::exists(path_) ? parse_json_object(where, "'" + path_ + "'", read_file(path_))
                                           : Json::object();
  }
  // Names what nobody has asked for.
  ~Settings() {
    std::vector<std::string> names;
    for (const auto& [key, value] : json_.items())
      if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) names.push_back(key);
    if (!names.empty())
      notes_.push_back(
          {fmt::format("'{}' has keys that bertie doesn't know and doesn't follow", path_), names});
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  // Null where it is missing.
  Json get(const char* key) {
    asked_.emplace_back(key);
    return json_.value(key, Json());
  }
  bool flag(const char* key, bool otherwise) {
    Json value = get(key);
    BERTIE_CHECK(value.is_null() || value.is_boolean(), where, "{} must be true or false in '{}', it is {}",
                 key, path_, value.dump());
    return value.is_null() ? otherwise : value.get<bool>();
  }
  void ignore(std::initializer_list<const char*> keys) {
    asked_.insert(asked_.end(), keys.begin(), keys.end());
  }
  // For what bertie computes in one way only.
  void only(const char* key, const Json& value) {
    Json given = get(key);
    BERTIE_CHECK(given.is_null() || given == value, where, "{} must be {} in '{}', it is {}", key,
                 value.dump(), path_, given.dump());
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::vector<LoadNote>& notes_;
  Json json_;
  std::vector<std::string> asked_;
};

// A list is no object, which alone parse_json_object() takes.
Json read_modules(const std::string& path) {
  std::string text = "{\"modules\":" + read_file(path) + "}";
  Json json = parse_json_object(where, "the list in '" + path + "'", text);
  BERTIE_CHECK(json.size() == 1 && json["modules"].is_array(), where, "'{}' must be a list of modules", path);
  return json["modules"];
}

void read_transformer(SentenceModules& modules) {
  Settings settings(modules.transformer + "/sentence_bert_config.json", modules.notes);
  Json length = settings.get("max_seq_length");
  BERTIE_CHECK(length.is_null() || (length.is_number_integer() && length >= 1 && length <= 1'000'000), where,
               "max_seq_length must be in 1 … 1000000 in '{}', it is {}", settings.path(), length.dump());
  if (!length.is_null()) modules.max_seq_length = length.get<int64_t>();
  modules.do_lower_case = settings.flag("do_lower_case", false);
  settings.only("transformer_task", "feature-extraction");
  settings.only("modality_config",
                {{"text", {{"method", "forward"}, {"method_output_name", "last_hidden_state"}}}});
  settings.only("module_output_name", "token_embeddings");
  settings.ignore({"unpad_inputs"});
}

void read_prompt(const std::string& directory, SentenceModules& modules) {
  Settings settings(directory + "/config_sentence_transformers.json", modules.notes);
  settings.only("model_type", "SentenceTransformer");
  settings.ignore({"__version__", "similarity_fn_name"});
  Json prompts = settings.get("prompts"), name = settings.get("default_prompt_name");
  if (name.is_null()) return;
  bool there = name.is_string() && prompts.is_object() && prompts.contains(name.get<std::string>()) &&
               prompts[name.get<std::string>()].is_string();
  BERTIE_CHECK(there, where, "default_prompt_name must name one of the prompts in '{}', it is {}",
               settings.path(), name.dump());
  modules.prompt = prompts[name.get<std::string>()].get<std::string>();
}

void read_pooling(const std::string& folder, SentenceModules& modules) {
  Settings settings(folder + "/config.json", modules.notes);
  settings.ignore({"word_embedding_dimension", "embedding_dimension"});
  modules.include_prompt = settings.flag("include_prompt", true);
  Json mode = settings.get("pooling_mode");
  if (mode.is_string()) mode = {mode};
  for (const auto& [key, name] : modes_by_key)
    if (settings.flag(key, false) && mode.is_null()) modules.pooling.push_back(name);
  if (mode.is_null()) {
    if (modules.pooling.empty()) modules.pooling = {"mean"};
    return;
  }
  const std::vector<std::string>& known = pooling_modes();
  for (const Json& name : mode)
    BERTIE_CHECK(name.is_string() && std::find(known.begin(), known.end(), name) != known.end(), where,
                 "pooling_mode must be of {} in '{}', it is {}", fmt::join(known, ", "), settings.path(),
                 name.dump());
  BERTIE_CHECK(mode.is_array() && !mode.empty(), where, "pooling_mode must name a mode in '{}', it is {}",
               settings.path(), mode.dump());
  modules.pooling = mode.get<std::vector<std::string>>();
}

// The tensor of a module's weights, as f32.
Array weight(const Safetensors& weights, const std::string& name, int rank) {
  const Array* found = weights.find(name);
  BERTIE_CHECK(found && found->shape().rank() == rank, where, "'{}' must hold {} of {} axes", weights.path,
               name, rank);
  return found->dtype() == DType::f32 ? *found : found->cast(DType::f32);
}

std::function<Tensor(const Tensor&)> read_dense(const std::string& folder, SentenceModules& modules) {
  Settings settings(folder + "/config.json", modules.notes);
  settings.ignore({"in_features", "out_features"});  // the weight says it
  settings.only("use_residual", false);
  settings.only("module_input_name", "sentence_embedding");
  settings.only("module_output_name", "sentence_embedding");
  Json activation = settings.get("activation_function");
  static const std::pair<const char*, const char*> names[] = {
      {"torch.nn.modules.activation.Tanh", "tanh"},       {"torch.nn.modules.linear.Identity", ""},
      {"torch.nn.modules.activation.ReLU", "relu"},       {"torch.nn.modules.activation.GELU", "gelu"},
      {"torch.nn.modules.activation.Sigmoid", "sigmoid"}, {"torch.nn.modules.activation.SiLU", "silu"}};
  if (activation.is_null()) activation = names[0].first;
  auto known = std::find_if(std::begin(names), std::end(names),
                            [&](const auto& name) { return activation == name.first; });
  BERTIE_CHECK(
      known != std::end(names), where,
      "activation_function must be torch's Tanh, Identity, ReLU, GELU, Sigmoid or SiLU in '{}', it is {}",
      settings.path(), activation.dump());
  Safetensors weights = read_weights(folder);
  Array W = weight(weights, "linear.weight", 2);
  modules.dense_width = W.shape()[0];
  Array b = settings.flag("bias", true) ? weight(weights, "linear.bias", 1)
                                        : Array::zeros({W.shape()[0]}, DType::f32);
  std::string name = known->second;
  return [W, b, name](const Tensor& x) {
    Tensor y = linear(x, W, b);
    return name.empty() ? y : Activation(name).forward(y);
  };
}

std::function<Tensor(const Tensor&)> read_layer_norm(const std::string& folder, SentenceModules& modules) {
  Settings settings(folder + "/config.json", modules.notes);
  settings.ignore({"dimension"});
  Safetensors weights = read_weights(folder);
  Array scale = weight(weights, "norm.weight", 1), shift = weight(weights, "norm.bias", 1);
  constexpr double torchs_epsilon = 1e-5;
  return [=](const Tensor& x) { return layer_norm(x, scale, shift, torchs_epsilon); };
}

}  // namespace

const std::vector<std::string>& pooling_modes() {
  static const std::vector<std::string> modes{"cls",          "max",      "mean", "mean_sqrt_len_tokens",
                                              "weightedmean", "lasttoken"};
  return modes;
}

Array pool(const Array& x, const Packing& packing, const std::vector<std::string>& modes, int64_t first) {
  BERTIE_CHECK(x && x.shape().rank() == 2, "pool", "x must be [T, H], got {}", x.shape());
  check_packing("pool", packing, x.shape()[0]);
  for (const std::string& mode : modes)
    BERTIE_CHECK(std::find(pooling_modes().begin(), pooling_modes().end(), mode) != pooling_modes().end(),
                 "pool", "the mode must be of {}, got '{}'", fmt::join(pooling_modes(), ", "), mode);
  BERTIE_CHECK(!modes.empty() && first >= 0, "pool", "needs a mode and a first token ≥ 0, got {} and {}",
               modes.size(), first);
  int64_t width = x.shape()[1], count = static_cast<int64_t>(modes.size());
  return dispatch_compute("pool", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array y = Array::empty({packing.sequences(), count * width}, x.dtype());
    for (int64_t n = 0; n < packing.sequences(); ++n) {
      int64_t start = packing.offsets[n], end = packing.offsets[n + 1];
      BERTIE_CHECK(start < end, "pool", "sequence {} is empty", n);
      int64_t begin = std::min(start + first, end - 1);
      for (int64_t m = 0; m < count; ++m)
        pool_one(x.data<T>(), width, start, begin, end, modes[m],
                 y.mutable_data<T>() + (n * count + m) * width);
    }
    return y;
  });
}

Array normalize_rows(const Array& x) {
  BERTIE_CHECK(x && x.shape().rank() == 2, "normalize_rows", "x must be [N, H], got {}", x.shape());
  int64_t width = x.shape()[1];
  return dispatch_compute("normalize_rows", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array y = Array::empty(x.shape(), x.dtype());
    for (int64_t r = 0; r < x.shape()[0]; ++r) {
      const T* in = x.data<T>() + r * width;
      T* out = y.mutable_data<T>() + r * width;
      double squares = 0;
      for (int64_t i = 0; i < width; ++i) squares += double{in[i]} * double{in[i]};
      double norm = squares == 0 ? 1 : std::sqrt(squares);
      for (int64_t i = 0; i < width; ++i) out[i] = static_cast<T>(double{in[i]} / norm);
    }
    return y;
  });
}

int64_t SentenceModules::width(int64_t hidden) const {
  return dense_width.value_or(hidden * static_cast<int64_t>(pooling.size()));
}

Array SentenceModules::apply(const Array& x, const Packing& packing, int64_t prompt_tokens) const {
  NoGrad no_grad;
  Tensor y = pool(x, packing, pooling, include_prompt ? 0 : prompt_tokens);
  for (const auto& step : steps) y = step(y);
  return y.array();
}

std::optional<SentenceModules> read_sentence_modules(const std::string& directory) {
  std::string path = directory + "/modules.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  SentenceModules modules;
  Json list = read_modules(path);
  std::vector<std::string> names;
  for (const Json& module : list) {
    auto text = [&](const char* key) {
      bool there = module.is_object() && module.contains(key) && module[key].is_string();
      BERTIE_CHECK(there, where, "each module of '{}' must have a {}, one is {}", path, key, module.dump());
      return module[key].get<std::string>();
    };
    std::string type = text("type"), folder = text("path");
    bool inside = !folder.starts_with('/') && folder.find("..") == std::string::npos;
    BERTIE_CHECK(inside, where, "the path of a module in '{}' must lie within its folder, it is '{}'", path,
                 folder);
    BERTIE_CHECK(type.starts_with("sentence_transformers."), where,
                 "the modules of '{}' must be those of sentence-transformers, one is '{}'", path, type);
    std::string name = type.substr(type.rfind('.') + 1);
    folder = folder.empty() ? directory : directory + "/" + folder;
    constexpr const char* first[] = {"Transformer", "Pooling"};
    constexpr std::string_view later[] = {"Dense", "LayerNorm", "Normalize", "Dropout"};
    bool fits = names.size() < 2 ? name == first[names.size()]
                                 : std::find(std::begin(later), std::end(later), name) != std::end(later);
    BERTIE_CHECK(
        fits, where,
        "the modules of '{}' must be Transformer, Pooling, then Dense, LayerNorm, Normalize or Dropout; "
        "number {} is {}",
        path, names.size(), name);
    names.push_back(name);
    if (name == "Transformer") modules.transformer = folder;
    if (name == "Pooling") read_pooling(folder, modules);
    if (name == "Dense") modules.steps.push_back(read_dense(folder, modules));
    if (name == "LayerNorm") modules.steps.push_back(read_layer_norm(folder, modules));
    if (name == "Normalize")
      modules.steps.emplace_back([](const Tensor& x) { return Tensor(normalize_rows(x.array())); });
  }
  BERTIE_CHECK(names.size() >= 2, where, "'{}' must name a Transformer and a Pooling", path);
  read_transformer(modules);
  read_prompt(directory, modules);
  modules.description = fmt::format("{} of the tokens", fmt::join(modules.pooling, " and "));
  for (size_t i = 2; i < names.size(); ++i) modules.description += ", then " + names[i];
  return modules;
}

}  // namespace bertie
