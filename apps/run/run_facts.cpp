#include "apps/run/run_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "apps/console/progress.h"
#include "apps/run/line_chart.h"
#include "bertie/autograd/error.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"

namespace bertie {
namespace {

// The value of the first line of a file that begins with this key.
std::string value_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "unknown";
}

}  // namespace

FactTable given_options(const CLI::App& app) {
  FactTable table{"Options given", {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    bool flag = option->get_items_expected_max() == 0;
    table.rows.emplace_back(option->get_name(),
                            flag ? "yes" : shown(fmt::format("{}", fmt::join(option->results(), " "))));
  }
  if (table.rows.empty()) table.rows.emplace_back("none", "all defaults");
  return table;
}

FactTable model_facts(const BertConfig& config, int64_t parameters) {
  return {"Model",
          {{"Parameters", short_number(static_cast<double>(parameters))},
           {"Vocabulary", std::to_string(config.vocab_size)},
           {"Layers", std::to_string(config.num_hidden_layers)},
           {"Hidden size", std::to_string(config.hidden_size)},
           {"Attention heads", std::to_string(config.num_attention_heads)},
           {"Intermediate size", std::to_string(config.intermediate_size)},
           {"Positions", std::to_string(config.max_position_embeddings)},
           {"Activation", shown(config.hidden_act)},
           {"Dropout", fmt::format("{:g}, of attention {:g}", config.hidden_dropout_prob,
                                   config.attention_probs_dropout_prob)}}};
}

FactTable training_facts(const TrainingOptions& options, const Optimizer& optimizer,
                         const std::string& batch_unit, int64_t batch) {
  constexpr const char* decays[] = {"constant", "linear", "cosine"};
  return {"Training",
          {{options.seconds > 0 ? "Time" : "Steps",
            options.seconds > 0 ? duration(options.seconds) : std::to_string(options.steps)},
           {batch_unit, std::to_string(batch)},
           {"Optimizer", optimizer.str()},
           {"Largest learning rate", short_number(options.schedule.peak)},
           {"Warm-up", fmt::format("{:.3g} % of the run", 100 * options.schedule.warmup)},
           {"Decay", decays[static_cast<int>(options.schedule.decay)]},
           {"Clipping at", fmt::format("gradient norm {:g}", options.max_gradient_norm)}}};
}

FactTable machine_facts(double sgemm_gflops, Precision precision) {
  DType type = precision == Precision::bf16 ? DType::bf16 : DType::f32;
  double bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return {"Machine",
          {{"CPU", value_in("/proc/cpuinfo", "model name")},
           {"Processors", std::to_string(sysconf(_SC_NPROCESSORS_ONLN))},
           {"Threads used", std::to_string(thread_count())},
           {"Instruction set", name(isa())},
           {"f32 products (sgemm)", fmt::format("{:.0f} GFLOP/s, measured at the start", sgemm_gflops)},
           {"Large products",
            fmt::format("of {} by {}", name(precision), name(gemm_backend(type, 1024, 1024, 1024)))},
           {"Memory", fmt::format("{:.1f} GiB", bytes / (1 << 30))}}};
}

std::vector<std::pair<std::string, std::string>> computing_facts() {
  return {{"CPU", value_in("/proc/cpuinfo", "model name")},
          {"instruction set", name(isa())},
          {"large products by", name(gemm_backend(DType::f32, 1024, 1024, 1024))},
          {"products of bf16 by", name(bf16_instructions())},
          {"libraries", gemm_libraries()},
          {"MPI", mpi_version()}};
}

}  // namespace bertie
