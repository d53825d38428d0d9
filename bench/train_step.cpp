// train_step: what one training step of a BERT costs, in time and memory.
//
// The step of bench/bert_step.h: forward, backward, clipping and update, by nn/training.h. Five warm-up
// steps, then five; what is told of one step is told of the one of median length.
//   phases        forward: the graph of the loss. backward: up to the last parameter's gradient.
//                 norm_and_update: the gradients' norm and AdamW, or Muon.
//   gflops        2MNK of every matrix product of the model, attention's included, once forward and twice
//                 backward, the MLM head on the scored rows only, per second of a step. What is recomputed
//                 doesn't count.
//   by operation  of the backward pass: from an operation's turn to the next one's, adding up its gradients
//                 included (autograd/backward.h).
//   peak memory   of this process, read right after the steps; only then the machine's own rates are
//                 measured, in a process of their own (bench/machine.h).
//
// Started by mpirun, the processes share the batch, and the first one tells of itself. What they exchange
// after the backward pass counts to norm_and_update.
//
// --serve lets a driver (bench/compare_pytorch.py) alternate this program with another one, so that both
// meet the same machine: after the warm-up it prints {"ready": true}; then, for each line "go" on standard
// input, it runs one step and prints {"seconds": s}; at the end of input it prints the summary of these
// steps.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bert_input.h"
#include "bench/bert_step.h"
#include "bench/machine.h"
#include "bench/program.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"

namespace {

using namespace bertie;
using Json = nlohmann::ordered_json;

struct Options {
  std::string preset = "base";
  int64_t sequences = 8;
  int64_t length = 128;
  bool ragged = false;
  int64_t vocab_size = 0;  // 0: 30,522 for base and 8,192 otherwise
  int64_t parts = 1;
  std::string precision = "f32", optimizer = "adamw";
  int threads = thread_count();
  bool by_operation = false;
  bool json = false;
  bool serve = false;
};

constexpr int64_t ragged_lengths[] = {32, 37, 55, 34, 85, 14, 43, 17, 35, 30, 30, 10, 38, 53, 100, 60,
                                      9,  17, 64, 19, 41, 14, 58, 74, 43, 42, 40, 24, 51, 35, 39,  48};

BertConfig config_for(const Options& options) {
  BertConfig config = benchmark_config(options.preset);
  if (options.vocab_size) config.vocab_size = options.vocab_size;
  return config;
}

Packing packing_for(const Options& options) {
  std::vector<int64_t> lengths(options.sequences, options.length);
  if (options.ragged) lengths.assign(std::begin(ragged_lengths), std::end(ragged_lengths));
  return packing_of(lengths);
}

// VmHWM: unlike getrusage's ru_maxrss it holds nothing of the process that started this one.
int64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  fail("train_step", "/proc/self/status doesn't tell the peak memory");
}

int64_t minor_faults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// The steps that count, and what they cost.
class Rounds {
 public:
  explicit Rounds(BertStep& step) : step_(step) {}

  double run() {
    int64_t faults = minor_faults(), requests = memory_counters().system_requests;
    steps_.push_back(step_.run());
    faults_ += minor_faults() - faults;
    requests_ += memory_counters().system_requests - requests;
    return steps_.back().whole();
  }

  Json summary() const {
    BERTIE_CHECK(!steps_.empty(), "train_step", "the input ended before the first \"go\"");
    auto per_step = [&](auto value) {
      return static_cast<double>(value) / static_cast<double>(steps_.size());
    };
    StepSeconds step = median_step();
    double seconds = step.whole();
    return {{"tokens", step_.tokens()},
            {"parameters", step_.parameters().size()},
            {"seconds_per_step", seconds},
            {"phases",
             {{"forward", step.forward}, {"backward", step.backward}, {"norm_and_update", step.update}}},
            {"tokens_per_second", static_cast<double>(step_.tokens()) / seconds},
            {"gflop_per_step", 1e-9 * step_.flops()},
            {"gflops", 1e-9 * step_.flops() / seconds},
            {"peak_rss_bytes", peak_rss_bytes()},
            {"minor_faults_per_step", per_step(faults_)},
            {"system_requests_per_step", per_step(requests_)},
            {"isa", name(isa())},
            {"gemm_backend", name(step_.gemm_backend())},
            {"precision", name(step_.precision())}};
  }

  // Seconds of the backward pass by operation, the longest first.
  Json backward_by_operation() const {
    std::vector<std::pair<double, std::string_view>> operations;
    for (auto [op, seconds] : median_step().backward_by_operation) operations.emplace_back(seconds, op);
    std::sort(operations.rbegin(), operations.rend());
    Json result;
    for (auto [seconds, op] : operations) result[std::string(op)] = seconds;
    return result;
  }

 private:
  StepSeconds median_step() const {
    std::vector<StepSeconds> steps = steps_;
    auto middle = steps.begin() + steps.size() / 2;
    std::nth_element(steps.begin(), middle, steps.end(),
                     [](const StepSeconds& a, const StepSeconds& b) { return a.whole() < b.whole(); });
    return *middle;
  }

  BertStep& step_;
  std::vector<StepSeconds> steps_;
  int64_t faults_ = 0, requests_ = 0;
};

void say(const Json& value) { std::cout << value.dump() << std::endl; }

void serve(Rounds& rounds) {
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    BERTIE_CHECK(line == "go", "train_step", "expected a line \"go\", got \"{}\"", line);
    say({{"seconds", rounds.run()}});
  }
  say(rounds.summary());
}

void print(const Options& options, const Json& summary) {
  auto number = [&](const char* key) { return summary.at(key).get<double>(); };
  auto word = [&](const char* key) { return summary.at(key).get<std::string>(); };
  fmt::print("{:.4f} s per step, {:.0f} tokens/s\n", number("seconds_per_step"), number("tokens_per_second"));
  fmt::print(
      "{:.1f} GFLOP/s, {:.0f} % of this machine's sgemm ({:.1f} GFLOP/s by {}); its bandwidth: {:.1f} GB/s\n",
      number("gflops"), 100 * number("share_of_sgemm"), number("sgemm_gflops"), word("sgemm_library"),
      number("bandwidth_gbs"));
  if (summary.contains("bf16_gflops"))
    fmt::print("{:.0f} % of its rate in bf16 ({:.1f} GFLOP/s)\n", 100 * number("share_of_bf16"),
               number("bf16_gflops"));
  double products = number("gflop_per_step") / number("sgemm_gflops");
  double update = 32e-9 * number("parameters") / number("bandwidth_gbs");
  auto phase = [&](const char* key, const char* title, double least, const char* what) {
    double seconds = summary.at("phases").at(key).get<double>();
    fmt::print("  {:16}{:9.2f} ms, {:3.0f} %; {:.2f} ms {}\n", title, 1e3 * seconds,
               100 * seconds / number("seconds_per_step"), 1e3 * least, what);
  };
  phase("forward", "forward", products / 3, "for its products at sgemm's rate");
  phase("backward", "backward", products * 2 / 3, "for its products at sgemm's rate");
  phase("norm_and_update", "norm and update", update, "for 32 bytes a parameter at the bandwidth");
  if (options.by_operation) {
    fmt::print("backward by operation\n");
    for (const auto& [op, seconds] : summary.at("backward_by_operation").items())
      fmt::print("  {:16}{:9.2f} ms\n", op, 1e3 * seconds.get<double>());
  }
  fmt::print("peak memory {:.3f} GiB, {:.0f} minor faults and {:.0f} requests for memory per step\n",
             number("peak_rss_bytes") / (1 << 30), number("minor_faults_per_step"),
             number("system_requests_per_step"));
  fmt::print("{} threads, {}, {} products by {}\n", options.threads, word("isa"), word("precision"),
             word("gemm_backend"));
}

void report(const Options& options, Rounds& rounds, std::unique_ptr<Processes> processes) {
  for (int round = 0; round < 5; ++round) rounds.run();
  bool tells = processes->is_first();
  processes.reset();  // the others don't wait until this one has measured the machine
  if (!tells) return;
  Json summary = rounds.summary();
  if (options.by_operation) summary["backward_by_operation"] = rounds.backward_by_operation();
  MachineRates machine = measure_machine(options.threads);
  summary["sgemm_gflops"] = machine.sgemm_gflops;
  summary["sgemm_library"] = machine.sgemm_library;
  summary["share_of_sgemm"] = summary.at("gflops").get<double>() / machine.sgemm_gflops;
  if (summary.at("precision") == "bf16") {
    summary["bf16_gflops"] = machine.bf16_gflops;
    summary["share_of_bf16"] = summary.at("gflops").get<double>() / machine.bf16_gflops;
  }
  summary["bandwidth_gbs"] = machine.bandwidth_gbs;
  options.json ? say(summary) : print(options, summary);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures a training step of BERT on random ids.");
  app.add_option("--preset", options.preset, "Size of the model")->check(CLI::IsMember(bert_preset_names()));
  CLI::Option* sequences = app.add_option("--sequences", options.sequences, "Sequences of a batch");
  CLI::Option* length = app.add_option("--length", options.length, "Tokens of a sequence");
  app.add_flag("--ragged", options.ragged, "32 sequences of 9 to 100 tokens, 1,291 in all")
      ->excludes(sequences)
      ->excludes(length);
  CLI::Option* vocab_size = app.add_option("--vocab-size", options.vocab_size,
                                           "Words (default: 30,522 for base and 8,192 otherwise)");
  vocab_size->check(CLI::Range(2, 10'000'000));
  app.add_option("--parts", options.parts, "Logical parts of a step, at least one for each process")
      ->check(CLI::Range(1, 1000));
  app.add_option("--precision", options.precision, "What products take: f32, bf16, or auto: the faster one")
      ->check(CLI::IsMember({"f32", "bf16", "auto"}));
  app.add_option("--optimizer", options.optimizer, "adamw, or muon for the encoder's matrices")
      ->check(CLI::IsMember({"adamw", "muon"}));
  app.add_flag("--by-operation", options.by_operation, "Tell the backward pass's time by operation");
  app.add_flag("--json", options.json, "Print JSON");
  app.add_flag("--serve", options.serve, "A step for each line \"go\" on standard input; prints JSON")
      ->excludes("--by-operation");
  sequences->check(CLI::Range(1, 100'000));
  length->check(CLI::Range(1, 512));
  for (CLI::Option* option : app.get_options())
    if (option->get_items_expected_max() > 0 && option != vocab_size) option->capture_default_str();
  return run_benchmark(app, options.threads, argc, argv, [&] {
    if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
    std::unique_ptr<Processes> processes = join_processes();
    BERTIE_CHECK(processes->count() == 1 || !options.serve, "train_step",
                 "--serve is for one process, there are {}", processes->count());
    BertStep step(config_for(options), packing_for(options), choose_precision(options.precision).precision,
                  options.parts, options.optimizer == "muon", *processes);
    for (int warm_up = 0; warm_up < 5; ++warm_up) step.run();
    Rounds rounds(step);
    if (options.serve)
      serve(rounds);
    else
      report(options, rounds, std::move(processes));
  });
}
