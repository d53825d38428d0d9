// BERT (Devlin et al., "BERT: Pre-training of deep bidirectional transformers for language understanding",
// 2018), with the module and parameter names of transformers.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "bertie/data/batches/batching.h"
#include "bertie/models/bert_config.h"
#include "bertie/nn/layers.h"
#include "bertie/nn/multi_head_attention.h"

namespace bertie {

// A packed batch: N sequences, T tokens in all, no padding.
struct BertInput {
  Array ids;             // [T] i32
  Array token_type_ids;  // [T] i32, or none: all 0
  Pass pass;             // pass.packing: where sequences begin
};
BertInput bert_input(const TokenBatch& batch, uint64_t seed = 0, uint64_t step = 0);

// LayerNorm(word + position + token type), then dropout.    → [T, H]
class BertEmbeddings : public Module {
 public:
  BertEmbeddings(const BertConfig& config, Initializer& init);
  Tensor forward(const BertInput& input) const;  // throws on a sequence longer than max_position_embeddings
  const Tensor& word_embeddings() const { return words_.weight(); }

 private:
  Embedding words_, positions_, token_types_;
  LayerNorm norm_;
  Dropout dropout_;
};

// x ← LayerNorm(x + dropout(attention(x))), then x ← LayerNorm(x + dropout(W₂ act(W₁ x)))    [T, H] → [T, H]
class BertLayer : public Layer {
 public:
  BertLayer(const BertConfig& config, Initializer& init);
  Tensor forward(const Tensor& x, const Pass& pass) const override;
  // Where training in bf16 doesn't keep the inner numbers, which the activation takes, it computes them
  // again.
  Tensor forward(const Tensor& x, const Pass& pass, bool keeps_inner) const;
  // What has weights of products, by the name that pack() knows.
  struct Part {
    std::string name;  // "attention", "intermediate" or "output"
    Module* module;
  };
  std::vector<Part> parts() {
    return {{"attention", &attention_}, {"intermediate", &intermediate_}, {"output", &output_}};
  }

 private:
  MultiHeadAttention attention_;
  Dropout attention_dropout_;
  LayerNorm attention_norm_;
  Linear intermediate_;
  Activation activation_;
  Linear output_;
  Dropout output_dropout_;
  LayerNorm output_norm_;
};

// How many layers, the last ones, keep their inner numbers in training in bf16: as many as have room in 72
// MiB. So of BertModel's base all do with 1,024 tokens, and 3 of 12 with 4,096, whose step then takes less
// than 0.7 of the memory of one in f32 and a tenth more time than if all did.
int64_t layers_keeping_inner(int64_t layers, int64_t tokens, int64_t intermediate_size);

class BertEncoder : public Module {
 public:
  BertEncoder(const BertConfig& config, Initializer& init);
  // Through layers begin … end − 1 only.
  Tensor forward(const Tensor& x, const Pass& pass, int64_t begin, int64_t end) const;
  BertLayer& layer(int64_t i) { return *layers_[i]; }

 private:
  int64_t intermediate_size_;
  std::vector<std::unique_ptr<BertLayer>> layers_;  // stay where they are: modules refer to them
};

// tanh(W x + b) of each sequence's first token.    [T, H] → [N, H]
class BertPooler : public Module {
 public:
  BertPooler(const BertConfig& config, Initializer& init);
  Tensor forward(const Tensor& last_hidden_state,
                 const Packing& packing) const;  // throws on an empty sequence

 private:
  Linear dense_;
};

// Embeddings, encoder and, where wanted, the pooler.
class BertModel : public Module {
 public:
  static constexpr const char* architecture = "BertModel";
  // Throws where config.check_values() does.
  BertModel(const BertConfig& config, Initializer& init, bool with_pooler = true);
  const BertConfig& config() const { return config_; }
  // After `layer` layers, and no more is computed: 0 is the embeddings' output, num_hidden_layers the
  // last_hidden_state. Throws on another layer.
  Tensor hidden_state(const BertInput& input, int64_t layer) const;  // [T, H]
  // The same after each of `first` … `last` layers.    [T, H] each
  std::vector<Tensor> hidden_states(const BertInput& input, int64_t first, int64_t last) const;
  Tensor last_hidden_state(const BertInput& input) const;                               // [T, H]
  Tensor pooler_output(const Tensor& last_hidden_state, const Packing& packing) const;  // [N, H]
  const Tensor& word_embeddings() const { return embeddings_.word_embeddings(); }
  const BertEncoder& encoder() const { return encoder_; }
  // Module::freeze() of the embeddings and the first so many layers. Throws on more layers than there are.
  void freeze_layers(int64_t layers);
  // For inference: from now on the layers compute in packed_f32, packed_bf16 or int8 (nn/precision.h), but
  // for those of `keep`: a layer, "11", or a part of one, "11.attention", "11.intermediate" (the first
  // product of the feed-forward part) or "11.output" (its second). Embeddings, pooler and heads stay as they
  // are. Throws on what names no layer and on other precisions, before anything changes.
  void pack(Precision precision, const std::vector<std::string>& keep = {});
  // The layers' parts by those names, in their order.
  std::vector<std::string> parts();

 private:
  BertConfig config_;
  BertEmbeddings embeddings_;
  BertEncoder encoder_;
  std::optional<BertPooler> pooler_;
};

}  // namespace bertie
