#include "bertie/models/objectives.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "bertie/data/batches/batch_parts.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/reduce.h"

namespace bertie {
namespace {

// The sum of −log p of the labels over the given number, and how many of them have the largest p.
struct Scored {
  Tensor loss;
  int64_t right;
};

Scored score(const Tensor& logits, const Array& labels, double denominator) {
  CrossEntropyOptions options;
  options.denominator = denominator;
  Array best = argmax(logits.array());
  int64_t right = 0;
  for (int64_t i = 0; i < best.size(); ++i) right += best.data<int64_t>()[i] == labels.data<int32_t>()[i];
  return {cross_entropy(logits, labels, options), right};
}

}  // namespace

PretrainingSums sum_of(const std::vector<PretrainingSums>& parts) {
  PretrainingSums sums;
  for (const PretrainingSums& part : parts) {
    sums.tokens += part.tokens;
    sums.scored += part.scored;
    sums.scored_right += part.scored_right;
    sums.mlm_loss += part.mlm_loss;
    sums.pairs += part.pairs;
    sums.pairs_right += part.pairs_right;
    sums.nsp_loss += part.nsp_loss;
  }
  return sums;
}

PretrainingObjective::PretrainingObjective(const BertForMaskedLM& model, BatchSource& source,
                                           const Options& options)
    : PretrainingObjective(source, options) {
  masked_lm_ = &model;
}

PretrainingObjective::PretrainingObjective(const BertForPreTraining& model, BatchSource& source,
                                           const Options& options)
    : PretrainingObjective(source, options) {
  pretraining_ = &model;
}

int64_t PretrainingObjective::begin_step(int64_t step) {
  parts_.clear();  // its memory is needed no more
  if (!stream_) stream_.emplace(source_, start_);
  step_position_ = stream_->position();
  MaskedBatch batch = stream_->next();
  BERTIE_CHECK(!pretraining_ || batch.next_sentence_labels, "pretrain",
               "next-sentence prediction needs pairs of segments, the batches have none");
  step_ = static_cast<uint64_t>(step);
  // A step without a scored token has none in the sum either: 0 over any number.
  scored_ = static_cast<double>(std::max<int64_t>(batch.labels.size(), 1));
  sequences_ = static_cast<double>(batch.tokens.sequences.size());
  parts_ = cut_batch(batch, options_.parts);
  sums_of_parts_.assign(parts_.size(), {});
  return static_cast<int64_t>(parts_.size());
}

Tensor PretrainingObjective::loss(int64_t part) {
  BERTIE_CHECK(part >= 0 && part < static_cast<int64_t>(parts_.size()), "pretrain",
               "the step has {} parts, asked for number {}", parts_.size(), part);
  const MaskedBatch& batch = parts_[part];
  if (batch.tokens.sequences.empty()) return {};
  BertInput input = bert_input(batch.tokens, options_.seed, step_);
  BertForPreTraining::Logits logits;
  if (pretraining_)
    logits = pretraining_->rounded_logits(input, batch.scored_rows);
  else
    logits.prediction_logits = masked_lm_->rounded_logits(input, batch.scored_rows);

  auto [mlm, right] = score(logits.prediction_logits, batch.labels, scored_);
  PretrainingSums& sums = sums_of_parts_[part];
  sums = {};
  sums.tokens = batch.tokens.tokens();
  sums.scored = batch.labels.size();
  sums.scored_right = right;
  sums.mlm_loss = mlm.item() * scored_;
  if (!pretraining_) return mlm;
  auto [nsp, pairs_right] = score(logits.seq_relationship_logits, batch.next_sentence_labels, sequences_);
  sums.pairs = batch.next_sentence_labels.size();
  sums.pairs_right = pairs_right;
  sums.nsp_loss = nsp.item() * sequences_;
  return mlm + nsp;
}

std::string PretrainingObjective::state() const {
  DataPosition position = stream_ ? stream_->position() : start_;
  return nlohmann::json{{"pass", position.pass}, {"batch", position.batch}}.dump();
}

void PretrainingObjective::restore(const std::string& state) {
  nlohmann::json json = nlohmann::json::parse(state, nullptr, false);
  auto number = [&](const char* key) -> int64_t {
    bool there = json.is_object() && json.contains(key) && json[key].is_number_unsigned();
    BERTIE_CHECK(there && json[key].get<uint64_t>() <= std::numeric_limits<int64_t>::max(), "pretrain",
                 "a place in the data must be like {{\"batch\":17,\"pass\":3}}, got '{}'", state);
    return json[key].get<int64_t>();
  };
  start_ = {number("pass"), number("batch")};
  stream_.reset();
}

std::string PretrainingObjective::data_of(int64_t part) const {
  constexpr size_t shown = 4;
  std::span<const int64_t> numbers = parts_.at(part).tokens.sequences;
  if (numbers.empty()) return {};
  std::string more = numbers.size() > shown ? fmt::format(", …: {} in all", numbers.size()) : "";
  return fmt::format("batch {} of pass {}, sequences {}{}", step_position_.batch, step_position_.pass,
                     fmt::join(numbers.first(std::min(shown, numbers.size())), ", "), more);
}

}  // namespace bertie
