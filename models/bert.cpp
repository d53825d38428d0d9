#include "bertie/models/bert.h"

#include <algorithm>
#include <set>

#include "bertie/ops/cast.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layout.h"

namespace bertie {
namespace {

// Each token's place in its sequence.    [T] i32
Array position_ids(const Packing& packing) {
  Array ids = Array::empty({packing.tokens()}, DType::i32);
  int32_t* out = ids.mutable_data<int32_t>();
  for (int64_t n = 0; n < packing.sequences(); ++n)
    for (int64_t t = packing.offsets[n]; t < packing.offsets[n + 1]; ++t)
      out[t] = static_cast<int32_t>(t - packing.offsets[n]);
  return ids;
}

void check_input(const BertInput& input, int64_t max_length) {
  BERTIE_CHECK(input.ids && input.ids.shape().rank() == 1, "bert", "ids must be [T], got {}",
               input.ids.shape());
  const Packing& packing = input.pass.packing;
  check_packing("bert", packing, input.ids.size());
  for (int64_t n = 0; n < packing.sequences(); ++n) {
    int64_t length = packing.offsets[n + 1] - packing.offsets[n];
    BERTIE_CHECK(length <= max_length, "bert", "sequence {} has {} tokens; max_position_embeddings is {}", n,
                 length, max_length);
  }
}

const BertConfig& checked(const BertConfig& config) {
  config.check_values("bert");
  return config;
}

// In bf16 what a LayerNorm makes isn't kept, as it makes it again at next to no cost, nor in long batches
// what the activation takes, which costs one more product of nine. In f32 those are what a step takes its
// time for.
Tensor recomputed_in_bf16(Tensor y) { return y.dtype() == DType::bf16 ? recomputed(std::move(y)) : y; }

}  // namespace

BertInput bert_input(const TokenBatch& batch, uint64_t seed, uint64_t step) {
  return {batch.ids, batch.token_type_ids, {{batch.offsets, batch.first_sequence}, seed, step}};
}

BertEmbeddings::BertEmbeddings(const BertConfig& config, Initializer& init)
    : words_(config.vocab_size, config.hidden_size, init),
      positions_(config.max_position_embeddings, config.hidden_size, init),
      token_types_(config.type_vocab_size, config.hidden_size, init),
      norm_(config.hidden_size, config.layer_norm_eps, init),
      dropout_(config.hidden_dropout_prob) {
  add_module("word_embeddings", words_);
  add_module("position_embeddings", positions_);
  add_module("token_type_embeddings", token_types_);
  add_module("LayerNorm", norm_);
  add_module("dropout", dropout_);
}

Tensor BertEmbeddings::forward(const BertInput& input) const {
  check_input(input, positions_.weight().shape()[0]);
  Array types = input.token_type_ids ? input.token_type_ids : Array::zeros(input.ids.shape(), DType::i32);
  BERTIE_CHECK(types.shape() == input.ids.shape(), "bert", "token_type_ids must be like the ids {}, got {}",
               input.ids.shape(), types.shape());
  Tensor sum = words_.forward(input.ids) + token_types_.forward(types) +
               positions_.forward(position_ids(input.pass.packing));
  Tensor y = norm_.forward(sum);
  if (precision() == Precision::bf16) y = cast(y, DType::bf16);
  return dropout_.forward(y, input.pass);
}

BertLayer::BertLayer(const BertConfig& config, Initializer& init)
    : attention_({config.hidden_size,
                  config.num_attention_heads,
                  config.attention_probs_dropout_prob,
                  {"self.query", "self.key", "self.value", "output.dense"}},
                 init),
      attention_dropout_(config.hidden_dropout_prob),
      attention_norm_(config.hidden_size, config.layer_norm_eps, init),
      intermediate_(config.hidden_size, config.intermediate_size, init),
      activation_(config.hidden_act),
      output_(config.intermediate_size, config.hidden_size, init),
      output_dropout_(config.hidden_dropout_prob),
      output_norm_(config.hidden_size, config.layer_norm_eps, init) {
  add_module("attention", attention_);
  add_module("attention.dropout", attention_dropout_);
  add_module("attention.output.LayerNorm", attention_norm_);
  add_module("intermediate.dense", intermediate_);
  add_module("output.dense", output_);
  add_module("output.dropout", output_dropout_);
  add_module("output.LayerNorm", output_norm_);
}

Tensor BertLayer::forward(const Tensor& x, const Pass& pass) const { return forward(x, pass, true); }

Tensor BertLayer::forward(const Tensor& x, const Pass& pass, bool keeps_inner) const {
  Tensor context = attention_dropout_.forward(attention_.forward(x, pass), pass);
  Tensor h = recomputed_in_bf16(attention_norm_.forward(x + context));
  Tensor y = output_.forward_of(
      activation_, keeps_inner ? intermediate_.forward(h) : recomputed_in_bf16(intermediate_.forward(h)));
  return recomputed_in_bf16(output_norm_.forward(h + output_dropout_.forward(y, pass)));
}

int64_t layers_keeping_inner(int64_t layers, int64_t tokens, int64_t intermediate_size) {
  constexpr int64_t most_bytes = 72 << 20, bytes = 2;
  return std::min(layers, most_bytes / std::max<int64_t>(bytes * tokens * intermediate_size, 1));
}

BertEncoder::BertEncoder(const BertConfig& config, Initializer& init)
    : intermediate_size_(config.intermediate_size) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<BertLayer>(config, init));
    add_module("layer." + std::to_string(i), *layers_.back());
  }
}

Tensor BertEncoder::forward(const Tensor& x, const Pass& pass, int64_t begin, int64_t end) const {
  Tensor y = x;
  int64_t layers = std::ssize(layers_),
          keeping = layers_keeping_inner(layers, x.shape()[0], intermediate_size_);
  for (int64_t i = begin; i < end; ++i) y = layers_[i]->forward(y, pass, i >= layers - keeping);
  return y;
}

BertPooler::BertPooler(const BertConfig& config, Initializer& init)
    : dense_(config.hidden_size, config.hidden_size, init) {
  add_module("dense", dense_);
}

Tensor BertPooler::forward(const Tensor& last_hidden_state, const Packing& packing) const {
  for (int64_t n = 0; n < packing.sequences(); ++n)
    BERTIE_CHECK(packing.offsets[n] < packing.offsets[n + 1], "pooler",
                 "sequence {} is empty: it has no first token", n);
  std::vector<int64_t> first(packing.offsets.begin(), packing.offsets.end() - 1);
  return bertie::tanh(dense_.forward(unrounded(select_rows(last_hidden_state, Array::from(first)))));
}

BertModel::BertModel(const BertConfig& config, Initializer& init, bool with_pooler)
    : config_(checked(config)), embeddings_(config, init), encoder_(config, init) {
  add_module("embeddings", embeddings_);
  add_module("encoder", encoder_);
  if (!with_pooler) return;
  pooler_.emplace(config, init);
  add_module("pooler", *pooler_);
}

Tensor BertModel::hidden_state(const BertInput& input, int64_t layer) const {
  return hidden_states(input, layer, layer)[0];
}

std::vector<Tensor> BertModel::hidden_states(const BertInput& input, int64_t first, int64_t last) const {
  for (int64_t layer : {first, last})
    BERTIE_CHECK(layer >= 0 && layer <= config_.num_hidden_layers, "bert", "layers are 0 … {}, got {}",
                 config_.num_hidden_layers, layer);
  BERTIE_CHECK(first <= last, "bert", "the first layer must not be behind the last one, got {} and {}", first,
               last);
  std::vector<Tensor> states{encoder_.forward(embeddings_.forward(input), input.pass, 0, first)};
  for (int64_t layer = first; layer < last; ++layer)
    states.push_back(encoder_.forward(states.back(), input.pass, layer, layer + 1));
  return states;
}

Tensor BertModel::last_hidden_state(const BertInput& input) const {
  return hidden_state(input, config_.num_hidden_layers);
}

void BertModel::freeze_layers(int64_t layers) {
  BERTIE_CHECK(layers >= 0 && layers <= config_.num_hidden_layers, "freeze",
               "the model has {} layers, asked for {}", config_.num_hidden_layers, layers);
  embeddings_.freeze();
  for (int64_t i = 0; i < layers; ++i) encoder_.layer(i).freeze();
}

std::vector<std::string> BertModel::parts() {
  std::vector<std::string> names;
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i)
    for (const BertLayer::Part& part : encoder_.layer(i).parts())
      names.push_back(fmt::format("{}.{}", i, part.name));
  return names;
}

void BertModel::pack(Precision precision, const std::vector<std::string>& keep) {
  BERTIE_CHECK(precision != Precision::of_parameters && precision != Precision::bf16, "pack",
               "is to packed_f32, packed_bf16 or int8");
  std::set<std::string> kept;
  for (const std::string& wanted : keep) {
    auto is_meant = [&](const std::string& name) { return name == wanted || name.starts_with(wanted + "."); };
    std::vector<std::string> names = parts();
    BERTIE_CHECK(std::any_of(names.begin(), names.end(), is_meant), "pack",
                 "there are the layers 0 … {}, and of each the parts attention, intermediate and output, as "
                 "0.output; got '{}'",
                 config_.num_hidden_layers - 1, wanted);
    std::copy_if(names.begin(), names.end(), std::inserter(kept, kept.end()), is_meant);
  }
  if (precision == Precision::packed_bf16) embeddings_.set_precision(Precision::bf16);
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i)
    for (const BertLayer::Part& part : encoder_.layer(i).parts())
      if (!kept.contains(fmt::format("{}.{}", i, part.name))) part.module->set_precision(precision);
}

Tensor BertModel::pooler_output(const Tensor& last_hidden_state, const Packing& packing) const {
  BERTIE_CHECK(pooler_.has_value(), "bert", "this model was made without a pooler");
  return pooler_->forward(last_hidden_state, packing);
}

}  // namespace bertie
