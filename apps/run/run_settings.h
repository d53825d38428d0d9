// What a resumed run must have in common with the one that it continues, whatever it trains.
#pragma once
#include <string>

#include "apps/run/metrics.h"
#include "apps/run/run_options.h"
#include "bertie/data/tokenizer/tokenizer.h"
#include "bertie/models/bert_config.h"
#include "bertie/nn/training.h"

namespace bertie {

// Of the run's length and updates, of the model (all of its config.json), of the vocabulary with how texts
// are cut into words, and of the weights that it began with: `starting_weights` is their weights_hash();
// empty: they were random, which the seed says. Those that aren't trained are in no checkpoint, so a run that
// is resumed with another model of the same shape would mix the two.
Record common_settings(const RunOptions& options, const TrainingOptions& training, const BertConfig& config,
                       const Tokenizer& tokenizer, const std::string& starting_weights);

}  // namespace bertie
