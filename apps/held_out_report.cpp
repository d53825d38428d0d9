#include "apps/held_out_report.h"

#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/language_report.h"
#include "bertie/data/batches/batch_parts.h"
#include "bertie/nn/shared_work.h"

namespace bertie {
namespace {

Record to_json(const MlmScore& score) {
  return {{"loss", score.loss},
          {"accuracy", score.accuracy},
          {"scored", score.scored},
          {"hidden_loss", score.hidden_loss},
          {"hidden", score.hidden}};
}

// Under the names of the training records: with pairs "loss" is the sum of both.
Record to_json(const PretrainingScore& score) {
  Record record = to_json(score.mlm);
  if (score.next_sentence.pairs == 0) return record;
  record["mlm_loss"] = score.mlm.loss;
  record["nsp_loss"] = score.next_sentence.loss;
  record["nsp_accuracy"] = score.next_sentence.accuracy;
  record["pairs"] = score.next_sentence.pairs;
  record["loss"] = score.mlm.loss + score.next_sentence.loss;
  return record;
}

PretrainingScore with_pairs(const MlmScore& score) { return {score, {}}; }
PretrainingScore with_pairs(const PretrainingScore& score) { return score; }

template <class Model>
PretrainingScore evaluate_visibly(const Model& model, std::span<const MaskedBatch> batches, int32_t mask_id,
                                  Processes* processes) {
  Progress progress("Evaluating", static_cast<int64_t>(batches.size()));
  auto after_batch = [&](int64_t done) { progress.update(done); };
  return with_pairs(evaluate(model, batches, mask_id, after_batch, processes));
}

std::string coverage(std::span<const MaskedBatch> batches, const PairBatches&) {
  int64_t scored = 0;
  size_t pairs = 0;
  for (const MaskedBatch& batch : batches) {
    scored += batch.labels.size();
    pairs += batch.tokens.sequences.size();
  }
  return fmt::format("{} positions in {} pairs of segments", scored, pairs);
}

// What is scored stays the same.
std::vector<MaskedBatch> in_parts(std::span<const MaskedBatch> batches, int64_t part_tokens) {
  std::vector<MaskedBatch> parts;
  for (const MaskedBatch& batch : batches)
    for (MaskedBatch& part : split_batch(batch, part_tokens)) parts.push_back(std::move(part));
  return parts;
}

}  // namespace

template <class Model>
HeldOutReport<Model>::HeldOutReport(const TokenizedLines& training, const TokenizedLines& lines,
                                    Batches& held_out, const std::vector<bool>& scorable,
                                    const Tokenizer& tokenizer, bool is_language, int64_t part_tokens,
                                    Processes* processes)
    : held_out_(held_out),
      tokenizer_(tokenizer),
      is_language_(is_language),
      part_tokens_(part_tokens),
      processes_(processes),
      mask_id_(tokenizer.vocabulary().mask_id()),
      batches_(evaluation_batches(held_out, 5000)),
      unigram_(training, scorable),
      unigram_score_(unigram_.evaluate(batches_, mask_id_)) {
  if constexpr (std::is_same_v<Model, BertForMaskedLM>)
    control_ = with_foreign_context(batches_, lines, mask_id_);
  message("Scored of the held-out text: {}", coverage(batches_, held_out));
  for (std::vector<MaskedBatch>* batches : {&batches_, &control_}) *batches = in_parts(*batches, part_tokens);
}

template <class Model>
Record HeldOutReport<Model>::run(Model& model, int64_t step, bool last) {
  model.eval();
  PretrainingScore score = evaluate_visibly(model, batches_, mask_id_, processes_);
  const MlmScore& mlm = score.mlm;
  message(
      "Held-out text after step {}: loss {:.4f} (unigram {:.4f}), accuracy {:.3f} (unigram {:.3f}), {} "
      "positions",
      step, mlm.loss, unigram_score_.loss, mlm.accuracy, unigram_score_.accuracy, mlm.scored);
  if (const NextSentenceScore& next = score.next_sentence; next.pairs > 0)
    message("  next sentence: loss {:.4f} (a coin {:.4f}), accuracy {:.3f}, {} pairs", next.loss,
            std::log(2.0), next.accuracy, next.pairs);
  Record unigram = to_json(unigram_score_);
  if (score.next_sentence.pairs > 0) {  // its loss isn't that of both
    unigram["mlm_loss"] = unigram_score_.loss;
    unigram.erase("loss");
  }
  Record record{{"kind", "evaluation"}, {"step", step}, {"held_out", to_json(score)}, {"unigram", unigram}};
  if (last && least_of_all(processes_, interrupted() ? 0 : 1) == 0) last = false;  // what follows takes time
  if (last && is_language_)
    compare_with_best(model, record);
  else if (last && !control_.empty())
    run_control(model, mlm, record);
  model.train();
  return record;
}

template <class Model>
void HeldOutReport<Model>::compare_with_best(const Model& model, Record& record) {
  message("Comparing with the best possible predictions");
  std::optional<Progress> progress(std::in_place, "Comparing", 100);
  LanguageScores scores = score_language(
      model, held_out_, unigram_, part_tokens_, [&](int64_t percent) { progress->update(percent); },
      processes_);
  double took = progress->elapsed();
  progress.reset();
  message("{} scored positions in {:.1f} s", scores.all().positions, took);
  print_message(language_table(scores));
  if constexpr (std::is_same_v<Model, BertForMaskedLM>) print_message(filled_masks(model, tokenizer_));
  record["language"] = bertie::to_json(scores);
}

template <class Model>
void HeldOutReport<Model>::run_control(const Model& model, const MlmScore& score, Record& record) {
  MlmScore control = evaluate_visibly(model, control_, mask_id_, processes_).mlm,
           unigram = unigram_.evaluate(control_, mask_id_);
  message(
      "  where [MASK] hides the word: loss {:.4f} (unigram {:.4f}); with the context of another line: "
      "{:.4f} (unigram {:.4f})",
      score.hidden_loss, unigram_score_.hidden_loss, control.hidden_loss, unigram.hidden_loss);
  record["foreign_context"] = to_json(control);
  record["foreign_context_unigram"] = to_json(unigram);
}

template class HeldOutReport<BertForMaskedLM>;
template class HeldOutReport<BertForPreTraining>;

}  // namespace bertie
