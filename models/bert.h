// BERT (Devlin et al., "BERT: Pre-training of deep bidirectional transformers for language understanding",
// 2018), with the module and parameter names of transformers.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "models/bert_config.h"
#include "nn/layers.h"
#include "nn/multi_head_attention.h"

namespace bertie {

// A packed batch: N sequences, T tokens in all, no padding.
struct BertInput {
  Array ids;             // [T] i32
  Array token_type_ids;  // [T] i32, or none: all 0
  Pass pass;             // pass.packing: where sequences begin
};

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
  BertLayer(const BertConfig& config, uint32_t index, Initializer& init);
  Tensor forward(const Tensor& x, const Pass& pass) const override;

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

class BertEncoder : public Layer {
 public:
  BertEncoder(const BertConfig& config, Initializer& init);
  Tensor forward(const Tensor& x, const Pass& pass) const override;

 private:
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
  BertModel(const BertConfig& config, Initializer& init, bool with_pooler = true);
  Tensor last_hidden_state(const BertInput& input) const;                               // [T, H]
  Tensor pooler_output(const Tensor& last_hidden_state, const Packing& packing) const;  // [N, H]
  const Tensor& word_embeddings() const { return embeddings_.word_embeddings(); }

 private:
  BertEmbeddings embeddings_;
  BertEncoder encoder_;
  std::optional<BertPooler> pooler_;
};

// logits = LayerNorm(act(W x + b)) Eᵀ + c, with E the word embeddings (tied) and c [V].    [M, H] → [M, V]
class BertMlmHead : public Module {
 public:
  BertMlmHead(const BertConfig& config, const Tensor& word_embeddings, Initializer& init);
  Tensor forward(const Tensor& hidden) const;

 private:
  Linear dense_;
  Activation activation_;
  LayerNorm norm_;
  Tensor word_embeddings_, bias_;
};

class BertForMaskedLM : public Module {
 public:
  static constexpr const char* architecture = "BertForMaskedLM";
  BertForMaskedLM(const BertConfig& config, Initializer init);
  // Scores of all words at the given rows only.    rows [M] i32 or i64 → [M, V]
  Tensor logits(const BertInput& input, const Array& rows) const;
  // Mean cross-entropy of the true ids labels [M] i32 at these rows; or their sum / denominator, where one is
  // given.
  Tensor loss(const BertInput& input, const Array& rows, const Array& labels, double denominator = 0) const;
  const BertConfig& config() const { return config_; }
  const BertModel& bert() const { return bert_; }

 private:
  BertConfig config_;
  BertModel bert_;
  BertMlmHead head_;
};

}  // namespace bertie
