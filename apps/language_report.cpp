#include "apps/language_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/program.h"
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

bool enough(const LanguageScores& scores) {
  bool all = scores.all().positions >= least_positions;
  for_each_phenomenon([&](Phenomenon p) { all = all && scores.of(p).positions >= least_of_a_phenomenon; });
  return all;
}

std::string table_row(const char* name, const LanguageScore& score) {
  std::string row = fmt::format("{:<11} {:>6}  ", name, score.positions);
  for (double accuracy : score.accuracy) row += fmt::format(" {:5.1f}", 100 * accuracy);
  row += fmt::format(" {:5.1f}  ", 100 * score.accuracy_lost);
  for (double loss : score.loss) row += fmt::format("{:6.3f}", loss);
  return row + fmt::format("{:6.3f}\n", score.loss_lost);
}

Json to_json(const LanguageScore& score) {
  Json json{{"positions", score.positions}};
  for (int c = 0; c < LanguageScore::columns; ++c)
    json[column_names[c]] = {{"accuracy", score.accuracy[c]}, {"loss", score.loss[c]}};
  json["accuracy_lost"] = score.accuracy_lost;
  json["loss_lost"] = score.loss_lost;
  json["accuracy_error"] = score.accuracy_error;
  json["loss_error"] = score.loss_error;
  return json;
}

}  // namespace

LanguageScores score_language(const BertForMaskedLM& model, const MlmBatches& held_out,
                              const UnigramModel& unigram) {
  LanguageScores scores(held_out.lines(), unigram.log_probability());
  BatchPlan plan = held_out.ordered_pass();
  for (int64_t pass = 0; pass < max_passes && !enough(scores) && !interrupted(); ++pass) {
    for (int64_t b = 0; b < plan.size(); ++b) {
      MaskedBatch batch = held_out.batch(plan[b], pass);
      scores.add(batch, log_probabilities(model, batch));
    }
  }
  return scores;
}

std::string language_table(const LanguageScores& scores) {
  const char* columns = "   model  best   2+2  left words  lost";
  std::string table = fmt::format("{:<18}{:^38}{:^38}\n{:<11} {:>6}{}{}\n", "", "accuracy in %",
                                  "loss in nats", "", "scored", columns, columns);
  table += table_row("all", scores.all());
  for_each_phenomenon([&](Phenomenon p) { table += table_row(phenomenon_name(p), scores.of(p)); });
  return table +
         "best: no model can do better; 2+2: the best that sees two tokens on each side;\n"
         "left: the best that sees nothing on the right; words: by frequency alone;\n"
         "lost: from model to best, without the luck of the draw\n";
}

Json to_json(const LanguageScores& scores) {
  Json json{{"all", to_json(scores.all())}};
  for_each_phenomenon([&](Phenomenon p) {
    std::string key = phenomenon_name(p);
    std::replace(key.begin(), key.end(), ' ', '_');
    json[key] = to_json(scores.of(p));
  });
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
