// What report.html tells of a run beside its curves.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "apps/run/training_report.h"
#include "bertie/models/bert_config.h"
#include "bertie/nn/precision.h"
#include "bertie/nn/training.h"

namespace CLI {
class App;
}  // namespace CLI

namespace bertie {

// The options that the command line has, with their values.
FactTable given_options(const CLI::App& app);

FactTable model_facts(const BertConfig& config, int64_t parameters);

// The length of the run, batches ("Tokens per step", so many), optimizer, schedule, clipping.
FactTable training_facts(const TrainingOptions& options, const Optimizer& optimizer,
                         const std::string& batch_unit, int64_t batch);

// CPU, threads, instruction set, the rate of f32 products as measured, what products take, memory.
FactTable machine_facts(double sgemm_gflops, Precision precision);

// What the bits of a result depend on beside the data: the CPU's type, the instruction set, the libraries.
std::vector<std::pair<std::string, std::string>> computing_facts();

}  // namespace bertie
