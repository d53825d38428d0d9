#include "bertie/models/mlm_evaluation.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "bertie/nn/shared_work.h"
#include "bertie/ops/softmax.h"

namespace bertie {
namespace {

constexpr int64_t max_passes = 64;  // a few lines give no more information, however often they are masked

// Adds up scores, then divides.
class Sums {
 public:
  void add(bool hidden, double loss, bool right) {
    ++score_.scored;
    score_.loss += loss;
    score_.accuracy += right;
    if (!hidden) return;
    ++score_.hidden;
    score_.hidden_loss += loss;
  }
  MlmScore mean() const {
    MlmScore score = score_;
    auto scored = static_cast<double>(std::max<int64_t>(score.scored, 1));
    score.loss /= scored;
    score.accuracy /= scored;
    score.hidden_loss /= static_cast<double>(std::max<int64_t>(score.hidden, 1));
    return score;
  }

 private:
  MlmScore score_;
};

bool is_hidden(const MaskedBatch& batch, int64_t i, int32_t mask_id) {
  return batch.tokens.ids.data<int32_t>()[batch.scored_rows.data<int64_t>()[i]] == mask_id;
}

// What a model says of a label.
struct Said {
  double loss = 0;     // −log p
  bool right = false;  // whether it has the largest p
};

// Appends what rows of log p [R, C] say of the labels there.
void add_said(std::vector<Said>& said, const Array& log_p, const Array& labels) {
  int64_t classes = log_p.shape()[1];
  dispatch_compute("evaluate", log_p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < labels.size(); ++i) {
      const T* row = log_p.data<T>() + i * classes;
      int32_t label = labels.data<int32_t>()[i];
      bool right = std::max_element(row, row + classes) - row == label;
      said.push_back({-static_cast<double>(row[label]), right});
    }
  });
}

// Of the scored words of each batch, and, where it has next-sentence labels, of these, which `say` appends.
// Whoever computes it, it is added up in the order of batches.
PretrainingScore score_of(std::span<const MaskedBatch> batches, int32_t mask_id,
                          const std::function<std::vector<Said>(const MaskedBatch&)>& say,
                          const std::function<void(int64_t done)>& after_batch, Processes* processes) {
  Sums words;
  NextSentenceScore next;
  share_work<Said>(
      processes, static_cast<int64_t>(batches.size()), [&](int64_t b) { return say(batches[b]); },
      [&](int64_t b, std::span<const Said> said) {
        const MaskedBatch& batch = batches[b];
        int64_t scored = batch.labels.size();
        for (int64_t i = 0; i < scored; ++i)
          words.add(is_hidden(batch, i, mask_id), said[i].loss, said[i].right);
        for (const Said& label : said.subspan(scored)) {
          ++next.pairs;
          next.loss += label.loss;
          next.accuracy += label.right;
        }
        if (after_batch) after_batch(b + 1);
      });
  auto pairs = static_cast<double>(std::max<int64_t>(next.pairs, 1));
  next.loss /= pairs;
  next.accuracy /= pairs;
  return {words.mean(), next};
}

}  // namespace

Array log_probabilities(const BertForMaskedLM& model, const MaskedBatch& batch) {
  BERTIE_CHECK(!model.training(), "evaluate", "the model must be in eval mode");
  NoGrad no_grad;
  return log_softmax(model.logits(bert_input(batch.tokens), batch.scored_rows)).array();
}

MlmScore evaluate(const BertForMaskedLM& model, std::span<const MaskedBatch> batches, int32_t mask_id,
                  const std::function<void(int64_t done)>& after_batch, Processes* processes) {
  auto say = [&](const MaskedBatch& batch) {
    std::vector<Said> said;
    add_said(said, log_probabilities(model, batch), batch.labels);
    return said;
  };
  return score_of(batches, mask_id, say, after_batch, processes).mlm;
}

PretrainingScore evaluate(const BertForPreTraining& model, std::span<const MaskedBatch> batches,
                          int32_t mask_id, const std::function<void(int64_t done)>& after_batch,
                          Processes* processes) {
  BERTIE_CHECK(!model.training(), "evaluate", "the model must be in eval mode");
  for (size_t b = 0; b < batches.size(); ++b)
    BERTIE_CHECK(static_cast<bool>(batches[b].next_sentence_labels), "evaluate",
                 "next-sentence prediction needs pairs of segments, batch {} has none", b);
  NoGrad no_grad;
  auto say = [&](const MaskedBatch& batch) {
    std::vector<Said> said;
    auto logits = model.logits(bert_input(batch.tokens), batch.scored_rows);
    add_said(said, log_softmax(logits.prediction_logits).array(), batch.labels);
    add_said(said, log_softmax(logits.seq_relationship_logits).array(), batch.next_sentence_labels);
    return said;
  };
  return score_of(batches, mask_id, say, after_batch, processes);
}

UnigramModel::UnigramModel(const TokenizedLines& training, const std::vector<bool>& ordinary)
    : log_probability_(ordinary.size()) {
  std::vector<double> counts(ordinary.size(), 0);
  for (int32_t id : training.ids) counts[id] += ordinary[id];
  double total = 0;
  for (size_t id = 0; id < counts.size(); ++id) total += ordinary[id] ? ++counts[id] : 0;
  for (size_t id = 0; id < counts.size(); ++id) log_probability_[id] = std::log(counts[id] / total);
  most_frequent_ = static_cast<int32_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

MlmScore UnigramModel::evaluate(std::span<const MaskedBatch> batches, int32_t mask_id) const {
  Sums sums;
  for (const MaskedBatch& batch : batches) {
    for (int64_t i = 0; i < batch.labels.size(); ++i) {
      int32_t label = batch.labels.data<int32_t>()[i];
      sums.add(is_hidden(batch, i, mask_id), -log_probability_[label], label == most_frequent_);
    }
  }
  return sums.mean();
}

std::vector<MaskedBatch> evaluation_batches(BatchSource& held_out, int64_t scored) {
  std::vector<MaskedBatch> batches;
  int64_t found = 0;
  for (int64_t pass = 0; found < scored && pass < max_passes; ++pass)
    for (int64_t b = 0, count = held_out.begin_pass(pass); b < count && found < scored; ++b) {
      batches.push_back(held_out.batch(b));
      found += batches.back().labels.size();
    }
  return batches;
}

std::vector<MaskedBatch> evaluation_batches(const MlmBatches& held_out, int64_t scored) {
  std::vector<MaskedBatch> batches;
  int64_t found = 0;
  auto add_pass = [&](const BatchPlan& plan, int64_t pass) {
    for (int64_t b = 0; b < plan.size(); ++b) {
      batches.push_back(held_out.batch(plan[b], pass));
      found += batches.back().labels.size();
    }
  };
  auto all = static_cast<double>(held_out.sequences());
  double per_sequence =
      held_out.masking().probability() * static_cast<double>(held_out.scorable_tokens()) / all;
  // How many positions of a sequence are scored is chance: where they are too few, a few more are drawn.
  for (double wanted = static_cast<double>(scored) / per_sequence; wanted <= 0.5 * all; wanted *= 1.05) {
    add_pass(held_out.spread_pass(std::max<int64_t>(1, std::llround(wanted))), 0);
    if (found >= scored) return batches;
    batches.clear();
    found = 0;
  }
  for (int64_t pass = 0; found < scored && pass < max_passes; ++pass) add_pass(held_out.ordered_pass(), pass);
  return batches;
}

std::string coverage(std::span<const MaskedBatch> batches, const MlmBatches& held_out) {
  int64_t positions = 0, sequences = 0, all = held_out.sequences();
  for (const MaskedBatch& batch : batches) {
    positions += batch.labels.size();
    sequences += static_cast<int64_t>(batch.tokens.sequences.size());
  }
  if (sequences < all) return fmt::format("{} positions in {} of {} sequences", positions, sequences, all);
  std::string text = fmt::format("{} positions in all {} sequences", positions, all);
  return sequences == all ? text : fmt::format("{}, masked {} times", text, sequences / all);
}

std::vector<MaskedBatch> with_foreign_context(std::span<const MaskedBatch> batches,
                                              const TokenizedLines& lines, int32_t mask_id) {
  // The next sequence of the same length, in a ring.
  std::unordered_map<size_t, std::vector<int64_t>> of_length;
  for (int64_t i = 0; i < lines.size(); ++i) of_length[lines[i].size()].push_back(i);
  std::unordered_map<int64_t, int64_t> partner;
  for (const auto& [length, ring] : of_length)
    for (size_t i = 0; i < ring.size(); ++i) partner[ring[i]] = ring[(i + 1) % ring.size()];

  std::vector<MaskedBatch> result;
  for (const MaskedBatch& batch : batches) {
    MaskedBatch control = batch;
    control.tokens.ids = batch.tokens.ids.clone();
    int32_t* ids = control.tokens.ids.mutable_data<int32_t>();
    std::vector<bool> has_partner(batch.tokens.tokens());
    for (size_t n = 0; n < batch.tokens.sequences.size(); ++n) {
      int64_t sequence = batch.tokens.sequences[n], other = partner.at(sequence);
      int64_t begin = batch.tokens.offsets[n] + 1,
              end = batch.tokens.offsets[n + 1] - 1;  // within [CLS] and [SEP]
      for (int64_t t = begin; t < end; ++t) {
        has_partner[t] = other != sequence;
        if (ids[t] != mask_id) ids[t] = lines[other][t - begin];
      }
    }
    std::vector<int64_t> rows;
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < batch.labels.size(); ++i) {
      int64_t row = batch.scored_rows.data<int64_t>()[i];
      if (!is_hidden(batch, i, mask_id) || !has_partner[row]) continue;
      rows.push_back(row);
      labels.push_back(batch.labels.data<int32_t>()[i]);
    }
    if (rows.empty()) continue;
    control.scored_rows = Array::from(rows);
    control.labels = Array::from(labels);
    result.push_back(std::move(control));
  }
  return result;
}

}  // namespace bertie
