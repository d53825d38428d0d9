// What bert_pretrain can be asked for, and what it does where nothing is asked.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/run/run_options.h"
#include "bertie/data/batches/corpus.h"
#include "bertie/data/batches/masking.h"
#include "bertie/models/bert_config.h"
#include "bertie/nn/schedule.h"

namespace CLI {
class App;
}

namespace bertie {

struct PretrainOptions : RunOptions {
  PretrainOptions() { muon = true; }

  std::vector<std::string> corpus, held_out, unscored;
  Documents documents = Documents::blank_lines;
  std::string cache;
  std::string vocab;
  std::optional<int32_t> vocab_size, alphabet;
  bool cased = false;

  std::string preset = "mini", config, model;

  bool next_sentence = false;
  double mask_probability = MaskingOptions::usual_probability;
  bool whole_words = false;
  int64_t max_length = 128;

  // The length of the run: one of these, or the preset's number of steps.
  std::optional<int64_t> steps, epochs, tokens;
  std::optional<double> seconds;
  std::optional<int64_t> batch_tokens, memory_limit, warmup;
  Schedule::Decay decay = Schedule::Decay::linear;

  std::optional<std::string> write_corpus;
};

void declare_pretrain_options(CLI::App& app, PretrainOptions& options);

// What is done where nothing is asked for. Larger models need lower rates and more text.
struct PretrainDefaults {
  const char* preset;
  int64_t steps, batch_tokens;
  double learning_rate;
};
// Those of the smallest preset that is at least as large.
const PretrainDefaults& defaults_of(const BertConfig& config);

}  // namespace bertie
