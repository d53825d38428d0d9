#include "apps/run/run_settings.h"

#include "bertie/data/tokenizer/tokenizer_hash.h"

namespace bertie {

Record common_settings(const RunOptions& options, const TrainingOptions& training, const BertConfig& config,
                       const Tokenizer& tokenizer, const std::string& starting_weights) {
  ContentHash vocabulary;
  add_tokenizer(vocabulary, tokenizer);
  Record settings{{"steps", training.steps},
                  {"seconds", training.seconds},
                  {"learning_rate", training.schedule.peak},
                  {"warmup", training.schedule.warmup},
                  {"decay", static_cast<int>(training.schedule.decay)},
                  {"weight_decay", options.weight_decay},
                  {"max_gradient_norm", training.max_gradient_norm},
                  {"seed", options.seed},
                  {"starting_weights", starting_weights},
                  {"vocabulary", vocabulary.hex()}};
  settings.update(Record::parse(bert_config_json(config, config.architecture)));
  if (options.muon) settings["optimizer"] = "muon";  // runs of versions that had AdamW alone can be continued
  settings.erase("architectures");                   // of the directory that it began with
  return settings;
}

}  // namespace bertie
