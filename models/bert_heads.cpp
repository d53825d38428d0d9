#include "bertie/models/bert_heads.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bertie/ops/cast.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layout.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"

namespace bertie {
namespace {

Tensor mean_cross_entropy(const Tensor& logits, const Array& labels, double denominator) {
  CrossEntropyOptions options;
  options.denominator = denominator;
  return cross_entropy(logits, labels, options);
}

double classifier_dropout(const BertConfig& config) {
  double rate = config.classifier_dropout.value_or(config.hidden_dropout_prob);
  BERTIE_CHECK(rate >= 0 && rate <= 1, "config", "classifier_dropout must be in 0 … 1, got {}", rate);
  return rate;
}

void check_problem_type(const BertConfig& config) {
  const char* known[] = {"", "single_label_classification", "multi_label_classification", "regression"};
  BERTIE_CHECK(
      std::find(std::begin(known), std::end(known), config.problem_type) != std::end(known), "config",
      "problem_type must be single_label_classification, multi_label_classification or regression, got "
      "'{}'",
      config.problem_type);
}

// One row per sequence.
Pass per_sequence(const Pass& pass) {
  Pass result{{{}, pass.packing.first_sequence}, pass.seed, pass.step};
  for (int64_t n = 0; n <= pass.packing.sequences(); ++n) result.packing.offsets.push_back(n);
  return result;
}

// −Σ y log σ(z) + (1 − y) log(1 − σ(z)) over all elements, divided: binary cross-entropy of σ(z) against y.
// With −log σ(z) = log(1 + exp(−z)) and 1 − σ(z) = σ(−z) no large z swallows another term.
Tensor binary_cross_entropy(const Tensor& z, const Tensor& y, double denominator) {
  return sum(y * softplus(-z) + (1 - y) * softplus(z)) / denominator;
}

// Cross-entropy of one position per sequence among that sequence's tokens.    scores [T], positions [N]
Tensor position_loss(const Tensor& scores, const Packing& packing, const Array& positions,
                     double denominator) {
  check_packing("loss", packing, scores.array().size());
  int64_t sequences = packing.sequences(), longest = 0;
  bool integers = positions.dtype() == DType::i32 || positions.dtype() == DType::i64;
  BERTIE_CHECK(positions && positions.shape() == Shape{sequences} && integers, "loss",
               "the positions must be i32 or i64 [{}], one per sequence, got {} {}", sequences,
               name(positions.dtype()), positions.shape());
  for (int64_t n = 0; n < sequences; ++n)
    longest = std::max(longest, packing.offsets[n + 1] - packing.offsets[n]);
  // As a table [N, longest], filled up with −∞, which lies behind the last token.
  std::vector<int64_t> rows(sequences * longest, packing.tokens()), labels(sequences, -100);
  for (int64_t n = 0; n < sequences; ++n) {
    int64_t length = packing.offsets[n + 1] - packing.offsets[n];
    std::iota(rows.begin() + n * longest, rows.begin() + n * longest + length, packing.offsets[n]);
    int64_t given =
        positions.dtype() == DType::i32 ? positions.data<int32_t>()[n] : positions.data<int64_t>()[n];
    int64_t position = std::max<int64_t>(0, given);
    if (position < length) labels[n] = position;
  }
  Tensor padded = concatenate({scores, Array::full({1}, -INFINITY, scores.dtype())});
  Tensor table = reshape(select_rows(padded, Array::from(rows)), {sequences, longest});
  return mean_cross_entropy(table, Array::from(labels), denominator);
}

}  // namespace

BertPreTrainedModel::BertPreTrainedModel(const BertConfig& config, Initializer& init, bool with_pooler)
    : bert_(config, init, with_pooler) {
  add_module("bert", bert_);
}

Tensor BertPreTrainedModel::pooled(const BertInput& input) const {
  return bert_.pooler_output(bert_.last_hidden_state(input), input.pass.packing);
}

BertMlmHead::BertMlmHead(const BertConfig& config, const Tensor& word_embeddings, Initializer& init)
    : dense_(config.hidden_size, config.hidden_size, init),
      activation_(config.hidden_act),
      norm_(config.hidden_size, config.layer_norm_eps, init),
      decoder_(word_embeddings) {
  add_module("transform.dense", dense_);
  add_module("transform.LayerNorm", norm_);
  if (!config.tie_word_embeddings)
    decoder_ = add_parameter("decoder.weight", init.embedding({config.vocab_size, config.hidden_size}));
  bias_ = add_parameter("bias", init.constant({config.vocab_size}, 0));
}

// decoder_, where tied, is the very tensor of the word embeddings. Its gradient is the sum of what comes from
// here and what comes from the lookup; accumulate_parameter() in autograd/backward.cpp adds them.
Tensor BertMlmHead::forward(const Tensor& hidden) const {
  return linear(norm_.forward(activation_.forward(dense_.forward(hidden))), decoder_, bias_);
}

BertForMaskedLM::BertForMaskedLM(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, false), head_(config, bert_.word_embeddings(), init) {
  add_module("cls.predictions", head_);
}

Tensor BertForMaskedLM::logits(const BertInput& input, const Array& rows) const {
  return unrounded(rounded_logits(input, rows));
}

Tensor BertForMaskedLM::rounded_logits(const BertInput& input, const Array& rows) const {
  return head_.forward(select_rows(bert_.last_hidden_state(input), rows));
}

Tensor BertForMaskedLM::loss(const Tensor& logits, const Array& labels, double denominator) const {
  return mean_cross_entropy(logits, labels, denominator);
}

BertForPreTraining::BertForPreTraining(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, true),
      head_(config, bert_.word_embeddings(), init),
      seq_relationship_(config.hidden_size, 2, init) {
  add_module("cls.predictions", head_);
  add_module("cls.seq_relationship", seq_relationship_);
}

BertForPreTraining::Logits BertForPreTraining::logits(const BertInput& input, const Array& rows) const {
  Logits rounded = rounded_logits(input, rows);
  return {unrounded(rounded.prediction_logits), rounded.seq_relationship_logits};
}

BertForPreTraining::Logits BertForPreTraining::rounded_logits(const BertInput& input,
                                                              const Array& rows) const {
  Tensor hidden = bert_.last_hidden_state(input);
  return {head_.forward(select_rows(hidden, rows)),
          seq_relationship_.forward(bert_.pooler_output(hidden, input.pass.packing))};
}

Tensor BertForPreTraining::loss(const Logits& logits, const Array& labels, const Array& next_sentence_labels,
                                double denominator, double next_sentence_denominator) const {
  return mean_cross_entropy(logits.prediction_logits, labels, denominator) +
         mean_cross_entropy(logits.seq_relationship_logits, next_sentence_labels, next_sentence_denominator);
}

BertForNextSentencePrediction::BertForNextSentencePrediction(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, true), seq_relationship_(config.hidden_size, 2, init) {
  add_module("cls.seq_relationship", seq_relationship_);
}

Tensor BertForNextSentencePrediction::logits(const BertInput& input) const {
  return seq_relationship_.forward(pooled(input));
}

Tensor BertForNextSentencePrediction::loss(const Tensor& logits, const Array& labels,
                                           double denominator) const {
  return mean_cross_entropy(logits, labels, denominator);
}

BertForSequenceClassification::BertForSequenceClassification(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, true),
      dropout_(classifier_dropout(config)),
      classifier_(config.hidden_size, config.num_labels(), init) {
  check_problem_type(config);
  add_module("dropout", dropout_);
  add_module("classifier", classifier_);
}

Tensor BertForSequenceClassification::logits(const BertInput& input) const {
  return classifier_.forward(dropout_.forward(pooled(input), per_sequence(input.pass)));
}

Tensor BertForSequenceClassification::loss(const Tensor& logits, const Array& labels,
                                           double denominator) const {
  std::string problem = config().problem_type;
  if (problem.empty())
    problem = config().num_labels() == 1                                     ? "regression"
              : labels.dtype() == DType::i32 || labels.dtype() == DType::i64 ? "single_label_classification"
                                                                             : "multi_label_classification";
  if (problem == "single_label_classification") return mean_cross_entropy(logits, labels, denominator);
  bool fit = labels.shape() == logits.shape() ||
             (logits.shape()[1] == 1 && labels.shape() == Shape{logits.shape()[0]});
  BERTIE_CHECK(labels && fit && labels.dtype() == logits.dtype(), "loss",
               "for {} the labels must be like the logits {} {}, got {} {}", problem, name(logits.dtype()),
               logits.shape(), name(labels.dtype()), labels.shape());
  Array targets = labels.reshape(logits.shape());
  auto elements = static_cast<double>(labels.size());
  if (denominator == 0) denominator = elements;
  if (problem == "regression") return mean_squared_error(logits, targets) * (elements / denominator);
  return binary_cross_entropy(logits, targets, denominator);
}

BertForTokenClassification::BertForTokenClassification(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, false),
      dropout_(classifier_dropout(config)),
      classifier_(config.hidden_size, config.num_labels(), init) {
  add_module("dropout", dropout_);
  add_module("classifier", classifier_);
}

Tensor BertForTokenClassification::logits(const BertInput& input) const {
  return classifier_.forward(dropout_.forward(unrounded(bert_.last_hidden_state(input)), input.pass));
}

Tensor BertForTokenClassification::loss(const Tensor& logits, const Array& labels, double denominator) const {
  return mean_cross_entropy(logits, labels, denominator);
}

BertForQuestionAnswering::BertForQuestionAnswering(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, false), qa_outputs_(config.hidden_size, config.num_labels(), init) {
  BERTIE_CHECK(config.num_labels() == 2, architecture,
               "needs 2 labels, start and end; the configuration has {}", config.num_labels());
  add_module("qa_outputs", qa_outputs_);
}

BertForQuestionAnswering::Logits BertForQuestionAnswering::logits(const BertInput& input) const {
  Tensor both = transpose(qa_outputs_.forward(unrounded(bert_.last_hidden_state(input))));  // [2, T]
  return {reshape(slice(both, 0, 0, 1), {-1}), reshape(slice(both, 0, 1, 2), {-1})};
}

Tensor BertForQuestionAnswering::loss(const Logits& logits, const Packing& packing,
                                      const Array& start_positions, const Array& end_positions,
                                      double denominator) const {
  return (position_loss(logits.start_logits, packing, start_positions, denominator) +
          position_loss(logits.end_logits, packing, end_positions, denominator)) /
         2;
}

BertForMultipleChoice::BertForMultipleChoice(const BertConfig& config, Initializer init)
    : BertPreTrainedModel(config, init, true),
      dropout_(classifier_dropout(config)),
      classifier_(config.hidden_size, 1, init) {
  add_module("dropout", dropout_);
  add_module("classifier", classifier_);
}

Tensor BertForMultipleChoice::logits(const BertInput& input, int64_t choices) const {
  int64_t sequences = input.pass.packing.sequences();
  BERTIE_CHECK(choices > 0 && sequences % choices == 0, architecture,
               "{} choices each don't divide {} sequences", choices, sequences);
  Tensor scores = classifier_.forward(dropout_.forward(pooled(input), per_sequence(input.pass)));
  return reshape(scores, {sequences / choices, choices});
}

Tensor BertForMultipleChoice::loss(const Tensor& logits, const Array& labels, double denominator) const {
  return mean_cross_entropy(logits, labels, denominator);
}

}  // namespace bertie
