#include "apps/held_out_report.h"

#include <nlohmann/json.hpp>

#include "apps/language_report.h"
#include "apps/program.h"
#include "apps/progress.h"

namespace bertie {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const MlmScore& score) {
  return {{"loss", score.loss},
          {"accuracy", score.accuracy},
          {"scored", score.scored},
          {"hidden_loss", score.hidden_loss},
          {"hidden", score.hidden}};
}

MlmScore evaluate_visibly(const BertForMaskedLM& model, std::span<const MaskedBatch> batches,
                          int32_t mask_id) {
  Progress progress("Evaluating", static_cast<int64_t>(batches.size()));
  return evaluate(model, batches, mask_id, [&](int64_t done) { progress.update(done); });
}

}  // namespace

HeldOutReport::HeldOutReport(const TokenizedLines& training, const MlmBatches& held_out,
                             const std::vector<bool>& scorable, const Tokenizer& tokenizer, bool is_language)
    : held_out_(held_out),
      tokenizer_(tokenizer),
      is_language_(is_language),
      mask_id_(tokenizer.vocabulary().mask_id()),
      batches_(evaluation_batches(held_out, 5000)),
      control_(with_foreign_context(batches_, held_out.lines(), mask_id_)),
      unigram_(training, scorable),
      unigram_score_(unigram_.evaluate(batches_, mask_id_)) {
  message("Scored of the held-out text: {}", coverage(batches_, held_out));
}

Json HeldOutReport::run(BertForMaskedLM& model, int64_t step, bool last) {
  model.eval();
  MlmScore score = evaluate_visibly(model, batches_, mask_id_);
  message(
      "Held-out text after step {}: loss {:.4f} (unigram {:.4f}), accuracy {:.3f} (unigram {:.3f}), {} "
      "positions",
      step, score.loss, unigram_score_.loss, score.accuracy, unigram_score_.accuracy, score.scored);
  Json record{{"kind", "evaluation"},
              {"step", step},
              {"held_out", to_json(score)},
              {"unigram", to_json(unigram_score_)}};
  if (interrupted()) last = false;  // what follows takes its time
  if (last && is_language_)
    compare_with_best(model, record);
  else if (last && !control_.empty())
    run_control(model, score, record);
  model.train();
  return record;
}

void HeldOutReport::compare_with_best(const BertForMaskedLM& model, Json& record) {
  message("Comparing with the best possible predictions");
  std::optional<Progress> progress(std::in_place, "Comparing", 100);
  LanguageScores scores =
      score_language(model, held_out_, unigram_, [&](int64_t percent) { progress->update(percent); });
  double took = progress->elapsed();
  progress.reset();
  message("{} scored positions in {:.1f} s", scores.all().positions, took);
  print_message(language_table(scores));
  print_message(filled_masks(model, tokenizer_));
  record["language"] = bertie::to_json(scores);
}

void HeldOutReport::run_control(const BertForMaskedLM& model, const MlmScore& score, Json& record) {
  MlmScore control = evaluate_visibly(model, control_, mask_id_),
           unigram = unigram_.evaluate(control_, mask_id_);
  message(
      "  where [MASK] hides the word: loss {:.4f} (unigram {:.4f}); with the context of another line: "
      "{:.4f} (unigram {:.4f})",
      score.hidden_loss, unigram_score_.hidden_loss, control.hidden_loss, unigram.hidden_loss);
  record["foreign_context"] = to_json(control);
  record["foreign_context_unigram"] = to_json(unigram);
}

}  // namespace bertie
