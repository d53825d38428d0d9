// BERT with each of the heads that transformers knows, under its class names. All take packed batches (T
// tokens of N sequences), give logits and turn logits into the loss that transformers computes; `denominator`
// is what its mean divides by, where a step's batch is computed in parts (0: this batch's own number; then a
// batch whose labels are all ignored has no mean, and loss() throws, where transformers gives NaN).
#pragma once
#include "bertie/models/bert.h"

namespace bertie {

// What all of them share: the configuration, and the BERT beneath.
class BertPreTrainedModel : public Module {
 public:
  const BertConfig& config() const { return bert_.config(); }
  const BertModel& bert() const { return bert_; }
  BertModel& bert() { return bert_; }

 protected:
  BertPreTrainedModel(const BertConfig& config, Initializer& init, bool with_pooler);
  Tensor pooled(const BertInput& input) const;  // [N, H]

  BertModel bert_;
};

// logits = LayerNorm(act(W x + b)) Eᵀ + c    [M, H] → [M, V]. E [V, H] is the word embeddings' table, or,
// without tie_word_embeddings, a parameter of its own; c [V].
class BertMlmHead : public Module {
 public:
  BertMlmHead(const BertConfig& config, const Tensor& word_embeddings, Initializer& init);
  Tensor forward(const Tensor& hidden) const;  // of hidden's type

 private:
  Linear dense_;
  Activation activation_;
  LayerNorm norm_;
  Tensor decoder_, bias_;
};

class BertForMaskedLM : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForMaskedLM";
  BertForMaskedLM(const BertConfig& config, Initializer init);
  // Scores of all words at the given rows only.    rows [M] i32 or i64 → [M, V]
  Tensor logits(const BertInput& input, const Array& rows) const;
  // The same as the product gives them, in bf16 where activations are. cross_entropy() computes in f32 from
  // either: for training, where scores in f32 beside those would be the most that a step needs at a time.
  Tensor rounded_logits(const BertInput& input, const Array& rows) const;
  // Mean cross-entropy of the true ids    labels [M] i32 or i64
  Tensor loss(const Tensor& logits, const Array& labels, double denominator = 0) const;

 private:
  BertMlmHead head_;
};

class BertForPreTraining : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForPreTraining";
  struct Logits {
    Tensor prediction_logits;        // [M, V]
    Tensor seq_relationship_logits;  // [N, 2]: the second segment follows the first, or is another text's
  };
  BertForPreTraining(const BertConfig& config, Initializer init);
  Logits logits(const BertInput& input, const Array& rows) const;
  Logits rounded_logits(const BertInput& input, const Array& rows) const;  // of the words, as above
  // The sum of both heads' mean cross-entropies.    labels [M], next_sentence_labels [N] (0: follows)
  Tensor loss(const Logits& logits, const Array& labels, const Array& next_sentence_labels,
              double denominator = 0, double next_sentence_denominator = 0) const;

 private:
  BertMlmHead head_;
  Linear seq_relationship_;
};

class BertForNextSentencePrediction : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForNextSentencePrediction";
  BertForNextSentencePrediction(const BertConfig& config, Initializer init);
  Tensor logits(const BertInput& input) const;                                           // [N, 2]
  Tensor loss(const Tensor& logits, const Array& labels, double denominator = 0) const;  // labels [N]

 private:
  Linear seq_relationship_;
};

class BertForSequenceClassification : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForSequenceClassification";
  BertForSequenceClassification(const BertConfig& config,
                                Initializer init);  // throws on another problem_type
  Tensor logits(const BertInput& input) const;      // [N, L], L labels
  // By config().problem_type, or, where that is none: regression for one label, else by the type of `labels`.
  //   single_label_classification  labels [N] i32 or i64: mean cross-entropy
  //   multi_label_classification   labels [N, L] in 0 … 1, of the logits' type: mean over all elements of
  //                                −y log σ(z) − (1 − y) log (1 − σ(z))
  //   regression                   labels [N, L], or [N] where L is 1, of the logits' type: mean of (z − y)²
  //                                over all elements
  Tensor loss(const Tensor& logits, const Array& labels, double denominator = 0) const;

 private:
  Dropout dropout_;
  Linear classifier_;
};

class BertForTokenClassification : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForTokenClassification";
  BertForTokenClassification(const BertConfig& config, Initializer init);
  Tensor logits(const BertInput& input) const;  // [T, L]
  // Mean cross-entropy of labels [T] over tokens whose label isn't -100.
  Tensor loss(const Tensor& logits, const Array& labels, double denominator = 0) const;

 private:
  Dropout dropout_;
  Linear classifier_;
};

class BertForQuestionAnswering : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForQuestionAnswering";
  struct Logits {
    Tensor start_logits, end_logits;  // [T] each
  };
  BertForQuestionAnswering(const BertConfig& config, Initializer init);  // throws unless there are 2 labels
  Logits logits(const BertInput& input) const;
  // Half the sum of the mean cross-entropies of both positions [N], each counted from its sequence's first
  // token, among that sequence's tokens. Negative ones count as 0, and ones behind the sequence's end for
  // nothing. (transformers, in a padded batch, also takes the padding for places where an answer may be.)
  Tensor loss(const Logits& logits, const Packing& packing, const Array& start_positions,
              const Array& end_positions, double denominator = 0) const;

 private:
  Linear qa_outputs_;
};

class BertForMultipleChoice : public BertPreTrainedModel {
 public:
  static constexpr const char* architecture = "BertForMultipleChoice";
  BertForMultipleChoice(const BertConfig& config, Initializer init);
  // The choices of one question are consecutive sequences, as many for each. Throws where they don't divide
  // N.    → [N / choices, choices]
  Tensor logits(const BertInput& input, int64_t choices) const;
  Tensor loss(const Tensor& logits, const Array& labels,
              double denominator = 0) const;  // labels [N / choices]

 private:
  Dropout dropout_;
  Linear classifier_;
};

}  // namespace bertie
