#include "apps/language_report.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/console/program.h"
#include "bertie/data/batches/batch_parts.h"
#include "bertie/nn/shared_work.h"
#include "bertie/ops/softmax.h"

namespace bertie {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t least_positions = 20'000, least_of_a_phenomenon = 1'000;
constexpr int64_t max_passes = 64;  // over the held-out lines, with other masks in each
constexpr const char* column_names[] = {"model", "best", "two_neighbors", "left", "unigram"};

// All phenomena but `none`.
template <class Visit>
void for_each_phenomenon(Visit visit) {
  for (int p = 1; p < phenomena; ++p) visit(static_cast<Phenomenon>(p));
}

// How much is scored of what is to be: 1 or more where it is enough.
double share_scored(const LanguageScores& scores) {
  auto share = [](const LanguageScore& score, int64_t least) {
    return static_cast<double>(score.positions) / static_cast<double>(least);
  };
  double smallest = share(scores.all(), least_positions);
  for_each_phenomenon(
      [&](Phenomenon p) { smallest = std::min(smallest, share(scores.of(p), least_of_a_phenomenon)); });
  return smallest;
}

// Scores pass after pass until it is enough.
LanguageScores score_passes(const UnigramModel& unigram,
                            const std::function<void(int64_t percent)>& after_pass,
                            const std::function<void(LanguageScores& scores, int64_t pass)>& add_pass) {
  LanguageScores scores(unigram.log_probability());
  double share = 0;
  for (int64_t pass = 0; pass < max_passes && share < 1; ++pass) {
    add_pass(scores, pass);
    share = share_scored(scores);
    after_pass(static_cast<int64_t>(100 * std::min(share, 1.0)));
  }
  return scores;
}

void append(std::vector<MaskedBatch>& parts, std::vector<MaskedBatch> more) {
  std::move(more.begin(), more.end(), std::back_inserter(parts));
}

// Judged by whichever process, added in their order.
void add_parts(LanguageScores& scores, std::span<const MaskedBatch> parts, Processes* processes,
               const std::function<std::vector<LanguageScores::Judgment>(const MaskedBatch&)>& judge) {
  share_work<LanguageScores::Judgment>(
      processes, static_cast<int64_t>(parts.size()), [&](int64_t part) { return judge(parts[part]); },
      [&](int64_t part, std::span<const LanguageScores::Judgment> judgments) {
        scores.add(parts[part], judgments);
      });
}

// What is shown to people leaves the last column out; of a pair's label only two are known.
constexpr int shown_columns = LanguageScore::unigram, label_columns = LanguageScore::best + 1;

std::string table_row(const char* name, const LanguageScore& score, int columns = shown_columns) {
  std::string row = fmt::format("{:<11} {:>6}", name, score.positions);
  for (int c = 0; c < columns; ++c) row += fmt::format(" {:5.1f}", 100 * score.accuracy[c]);
  row.append((shown_columns - columns) * 6, ' ');
  row += fmt::format(" {:5.1f}  ", 100 * score.accuracy_lost);
  for (int c = 0; c < columns; ++c) row += fmt::format("{:6.3f}", score.loss[c]);
  row.append((shown_columns - columns) * 6, ' ');
  return row + fmt::format("{:6.3f}\n", score.loss_lost);
}

Json to_json(const LanguageScore& score, int columns = LanguageScore::columns) {
  Json json{{"positions", score.positions}};
  for (int c = 0; c < columns; ++c)
    json[column_names[c]] = {{"accuracy", score.accuracy[c]}, {"loss", score.loss[c]}};
  json["accuracy_lost"] = score.accuracy_lost;
  json["loss_lost"] = score.loss_lost;
  json["accuracy_error"] = score.accuracy_error;
  json["loss_error"] = score.loss_error;
  return json;
}

}  // namespace

LanguageScores score_language(const BertForMaskedLM& model, const MlmBatches& held_out,
                              const UnigramModel& unigram, int64_t part_tokens,
                              const std::function<void(int64_t percent)>& after_pass, Processes* processes) {
  BatchPlan plan = held_out.ordered_pass();
  return score_passes(unigram, after_pass, [&](LanguageScores& scores, int64_t pass) {
    std::vector<MaskedBatch> parts;
    for (int64_t b = 0; b < plan.size(); ++b)
      append(parts, split_batch(held_out.batch(plan[b], pass), part_tokens));
    add_parts(scores, parts, processes,
              [&](const MaskedBatch& part) { return scores.judge(part, log_probabilities(model, part)); });
  });
}

LanguageScores score_language(const BertForPreTraining& model, PairBatches& held_out,
                              const UnigramModel& unigram, int64_t part_tokens,
                              const std::function<void(int64_t percent)>& after_pass, Processes* processes) {
  BERTIE_CHECK(!model.training(), "evaluate", "the model must be in eval mode");
  NoGrad no_grad;
  return score_passes(unigram, after_pass, [&](LanguageScores& scores, int64_t pass) {
    int64_t batches = held_out.begin_pass(pass);
    std::vector<MaskedBatch> parts;
    for (int64_t b = 0; b < batches; ++b) append(parts, split_batch(held_out.batch(b), part_tokens));
    add_parts(scores, parts, processes, [&](const MaskedBatch& part) {
      BertForPreTraining::Logits logits = model.logits(bert_input(part.tokens), part.scored_rows);
      return scores.judge(part, log_softmax(logits.prediction_logits).array(),
                          log_softmax(logits.seq_relationship_logits).array());
    });
  });
}

std::string language_table(const LanguageScores& scores) {
  const char* columns = " model  best   2+2  left  lost";
  std::string table = fmt::format("{:<18}{:^30}  {:^30}\n{:<11} {:>6}{}  {}\n", "", "accuracy in %",
                                  "loss in nats", "", "scored", columns, columns);
  table += table_row("all", scores.all());
  for_each_phenomenon([&](Phenomenon p) { table += table_row(phenomenon_name(p), scores.of(p)); });
  LanguageScore all = scores.all(), label = scores.next_sentence();
  if (label.positions > 0) table += table_row("NSP (pairs)", label, label_columns);
  table += fmt::format(
      "best: no model can do better; 2+2: the best that sees two tokens on each side;\n"
      "left: the best that sees nothing on the right; lost: from model to best, without\n"
      "the luck of the draw. By word frequency alone: {:.1f} % of all, {:.3f} nats\n",
      100 * all.accuracy[LanguageScore::unigram], all.loss[LanguageScore::unigram]);
  if (label.positions > 0)
    table += "NSP: whether the second line of a pair follows the first, by chance 50 %\n";
  return table;
}

Json to_json(const LanguageScores& scores) {
  Json json{{"all", to_json(scores.all())}};
  for_each_phenomenon([&](Phenomenon p) {
    std::string key = phenomenon_name(p);
    std::replace(key.begin(), key.end(), ' ', '_');
    json[key] = to_json(scores.of(p));
  });
  LanguageScore label = scores.next_sentence();
  if (label.positions > 0) json["next_sentence"] = to_json(label, label_columns);
  return json;
}

std::string filled_masks(const BertForMaskedLM& model, const Tokenizer& tokenizer) {
  constexpr int shown = 3;
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  WordPosterior posterior(language());
  NoGrad no_grad;
  std::string report = "What stands at [MASK]: the model's probability (the exact one)\n";
  for (const std::string& text : language_examples()) {
    Encoding encoding;
    tokenizer.encode({text}, {}, encoding);
    std::vector<int32_t> observed;
    std::vector<int64_t> masks, rows;
    for (int32_t id : std::span(encoding.ids).subspan(1, encoding.ids.size() - 2)) {  // [CLS] words [SEP]
      if (id == vocabulary.mask_id()) {
        masks.push_back(static_cast<int64_t>(observed.size()));
        rows.push_back(masks.back() + 1);
      }
      observed.push_back(id == vocabulary.mask_id() ? WordPosterior::hidden : id - first_word_id);
    }
    std::vector<double> exact = posterior(observed, masks);
    BertInput input{Array::from(encoding.ids), Array(), {}};
    input.pass.packing.offsets = {0, static_cast<int64_t>(encoding.ids.size())};
    Array p = softmax(model.logits(input, Array::from(rows))).array();

    report += "  " + text + "\n";
    std::vector<int32_t> order(language().word_count());
    for (size_t m = 0; m < masks.size(); ++m) {
      const double* best = &exact[m * order.size()];
      const float* guess = p.data<float>() + static_cast<int64_t>(m) * vocabulary.size();
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + shown, order.end(),
                        [&](int32_t a, int32_t b) { return best[a] > best[b]; });
      report += "    ";
      for (int i = 0; i < shown; ++i) {
        int32_t id = order[i] + first_word_id;
        report += fmt::format(" {} {:.3f} ({:.3f})", vocabulary.token(id), guess[id], best[order[i]]);
      }
      report += "\n";
    }
  }
  return report;
}

}  // namespace bertie
