// What bert_finetune can be asked for.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/run/run_options.h"
#include "apps/task.h"
#include "bertie/models/bert_config.h"

namespace CLI {
class App;
}

namespace bertie {

struct FinetuneOptions : RunOptions, TaskOptions {
  std::string model;

  int64_t epochs = 3, batch_size = 32;
  double warmup = 0.1;  // share of the run
  std::optional<int64_t> freeze_layers;
  int64_t patience = 0;
  int64_t seeds = 1;
  bool grid = false;
  std::string metric;  // that decides which weights are the best; empty: the task's first
};

void declare_finetune_options(CLI::App& app, FinetuneOptions& options);

// What is done where nothing is asked for: larger models need lower rates.
double finetuning_rate(const BertConfig& config);

}  // namespace bertie
