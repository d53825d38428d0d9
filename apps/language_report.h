// What bert_pretrain tells at its end about a model of the default text: how near it comes to the best
// possible predictions (docs/language.md).
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "bertie/data/batches/mlm_batches.h"
#include "bertie/data/batches/sentence_pairs.h"
#include "bertie/data/language/language_scores.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/models/mlm_evaluation.h"

namespace bertie {

// On at least 20,000 scored positions of the held-out lines, and 1,000 of each phenomenon, near and far. The
// lines are masked again, differently, until there are as many. At most `part_tokens` tokens are computed at
// a time, or a line. `after_pass` is told how many percent are done. The model is in eval mode. Where there
// are processes, this is everyone's (nn/processes.h): they share the work, and each gets the same scores.
LanguageScores score_language(const BertForMaskedLM& model, const MlmBatches& held_out,
                              const UnigramModel& unigram, int64_t part_tokens,
                              const std::function<void(int64_t percent)>& after_pass,
                              Processes* processes = nullptr);

// The same of pairs of whole lines (PairOptions::single_lines, no shorter maximum than the longest pair),
// which are drawn and masked again until there are as many, with next-sentence prediction.
LanguageScores score_language(const BertForPreTraining& model, PairBatches& held_out,
                              const UnigramModel& unigram, int64_t part_tokens,
                              const std::function<void(int64_t percent)>& after_pass,
                              Processes* processes = nullptr);

std::string language_table(const LanguageScores& scores);  // of several lines of up to 80 columns, for people
nlohmann::ordered_json to_json(const LanguageScores& scores);

// language_examples() filled in by the model, beside the exact probabilities.
std::string filled_masks(const BertForMaskedLM& model, const Tokenizer& tokenizer);

}  // namespace bertie
