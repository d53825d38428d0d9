// train_step: what one training step of a BERT costs, in time and memory.
//
// Random ids, 15 % of the positions scored, dropout 0.1, clipping at global norm 1, AdamW with weight decay
// 0.01, f32. A step is forward, backward, clipping and update, by nn/training.h. Two warm-up steps, then the
// median of five.
//   gflops        2MNK of every matrix product of the model, attention's included, once forward and twice
//                 backward, the MLM head on the scored rows only, per second of a step. What is recomputed
//                 doesn't count.
//   peak memory   of this process, read right after the steps; only then the machine's own rates are
//                 measured, in a process of their own (bench/machine.h).
//
// --serve lets a driver (scripts/compare_train_step.py) alternate this program with another one, so that both
// meet the same machine: after the warm-up it prints {"ready": true}; then, for each line "go" on standard
// input, it runs one step and prints {"seconds": s}; at the end of input it prints the summary of these
// steps.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "autograd/isa.h"
#include "autograd/random.h"
#include "autograd/threads.h"
#include "bench/machine.h"
#include "models/bert.h"
#include "nn/training.h"
#include "ops/gemm.h"

namespace {

using namespace bertie;
using Json = nlohmann::ordered_json;

struct Options {
  std::string preset = "base";
  int64_t sequences = 8;
  int64_t length = 128;
  bool ragged = false;
  int64_t vocab_size = 0;  // 0: 30,522 for base and 8,192 otherwise
  int threads = thread_count();
  bool json = false;
  bool serve = false;
};

constexpr int64_t ragged_lengths[] = {32, 37, 55, 34, 85, 14, 43, 17, 35, 30, 30, 10, 38, 53, 100, 60,
                                      9,  17, 64, 19, 41, 14, 58, 74, 43, 42, 40, 24, 51, 35, 39,  48};

BertConfig config_for(const Options& options) {
  BertConfig config = bert_preset(options.preset);
  config.vocab_size = options.vocab_size ? options.vocab_size : options.preset == "base" ? 30522 : 8192;
  return config;
}

Packing packing_for(const Options& options) {
  std::vector<int64_t> lengths(options.sequences, options.length);
  if (options.ragged) lengths.assign(std::begin(ragged_lengths), std::end(ragged_lengths));
  Packing packing;
  for (int64_t length : lengths) packing.offsets.push_back(packing.tokens() + length);
  return packing;
}

// count random ids, none of them 0 ([PAD] by custom).    [count] i32
Array random_ids(Random& random, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(1 + random.below(vocab_size - 1));
  return Array::from(ids);
}

// `count` different ones of the rows 0 … total-1, in order (Knuth, TAOCP 3.4.2, algorithm S).    [count] i32
Array random_rows(Random& random, int64_t count, int64_t total) {
  std::vector<int32_t> rows;
  for (int64_t row = 0; row < total; ++row)
    if (static_cast<int64_t>(random.below(total - row)) < count - static_cast<int64_t>(rows.size()))
      rows.push_back(static_cast<int32_t>(row));
  return Array::from(rows);
}

class TrainStep {
 public:
  explicit TrainStep(const Options& options)
      : config_(config_for(options)),
        model_(config_, Initializer::normal(config_.initializer_range, 0)),
        parameters_(model_),
        optimizer_(parameters_, {.weight_decay = 0.01}) {
    input_.pass.packing = packing_for(options);
    int64_t tokens = this->tokens(),
            scored = std::max<int64_t>(1, std::llround(0.15 * static_cast<double>(tokens)));
    Random random(0);
    input_.ids = random_ids(random, tokens, config_.vocab_size);
    rows_ = random_rows(random, scored, tokens);
    labels_ = random_ids(random, scored, config_.vocab_size);
  }

  int64_t tokens() const { return input_.pass.packing.tokens(); }

  // The library that serves the largest products of a layer.
  GemmBackend gemm_backend() const {
    return bertie::gemm_backend(DType::f32, tokens(), config_.intermediate_size, config_.hidden_size);
  }

  // One step; its seconds.
  double run() {
    auto start = std::chrono::steady_clock::now();
    TrainingOptions training{.steps = 1, .schedule = {.peak = 1e-4, .decay = Schedule::Decay::constant}};
    ++input_.pass.step;
    train(
        parameters_, optimizer_, training, [&](int64_t) { return model_.loss(input_, rows_, labels_); },
        [](const StepReport&) { return true; });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // 2MNK of every product, times three: the backward pass has two products of the same size for each forward
  // one.
  double flops() const {
    auto product = [](int64_t m, int64_t n, int64_t k) {
      return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    };
    int64_t T = tokens(), H = config_.hidden_size, M = rows_.size();
    double layer = product(T, 3 * H, H) + product(T, H, H) + 2 * product(T, config_.intermediate_size, H);
    const std::vector<int64_t>& offsets = input_.pass.packing.offsets;
    for (size_t n = 0; n + 1 < offsets.size(); ++n) {
      int64_t S = offsets[n + 1] - offsets[n];
      layer += 2 * product(S, S, H);  // scores and context, all heads together
    }
    double head = product(M, H, H) + product(M, config_.vocab_size, H);
    return 3 * (static_cast<double>(config_.num_hidden_layers) * layer + head);
  }

 private:
  BertConfig config_;
  BertForMaskedLM model_;
  ParameterBlock parameters_;
  AdamW optimizer_;
  BertInput input_;
  Array rows_, labels_;
};

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
  explicit Rounds(TrainStep& step) : step_(step) {}

  double run() {
    int64_t before = minor_faults();
    seconds_.push_back(step_.run());
    faults_ += minor_faults() - before;
    return seconds_.back();
  }

  Json summary() const {
    check(!seconds_.empty(), "train_step", "the input ended before the first \"go\"");
    std::vector<double> sorted = seconds_;
    std::sort(sorted.begin(), sorted.end());
    size_t middle = sorted.size() / 2;
    double median = sorted.size() % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    return {{"seconds_per_step", median},
            {"tokens_per_second", static_cast<double>(step_.tokens()) / median},
            {"gflops", 1e-9 * step_.flops() / median},
            {"peak_rss_bytes", peak_rss_bytes()},
            {"minor_faults_per_step", static_cast<double>(faults_) / static_cast<double>(sorted.size())},
            {"isa", name(isa())},
            {"gemm_backend", name(step_.gemm_backend())}};
  }

 private:
  TrainStep& step_;
  std::vector<double> seconds_;
  int64_t faults_ = 0;
};

void say(const Json& value) { std::cout << value.dump() << std::endl; }

void serve(Rounds& rounds) {
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    check(line == "go", "train_step", "expected a line \"go\", got \"{}\"", line);
    say({{"seconds", rounds.run()}});
  }
  say(rounds.summary());
}

void report(const Options& options, Rounds& rounds) {
  for (int round = 0; round < 5; ++round) rounds.run();
  Json summary = rounds.summary();
  MachineRates machine = measure_machine(options.threads);
  summary["sgemm_gflops"] = machine.sgemm_gflops;
  summary["sgemm_library"] = machine.sgemm_library;
  summary["bandwidth_gbs"] = machine.bandwidth_gbs;
  if (options.json) return say(summary);
  auto number = [&](const char* key) { return summary.at(key).get<double>(); };
  fmt::print("{:.4f} s per step, {:.0f} tokens/s\n", number("seconds_per_step"), number("tokens_per_second"));
  fmt::print(
      "{:.1f} GFLOP/s, {:.0f} % of this machine's sgemm ({:.1f} GFLOP/s by {}); its bandwidth: {:.1f} GB/s\n",
      number("gflops"), 100 * number("gflops") / machine.sgemm_gflops, machine.sgemm_gflops,
      machine.sgemm_library, machine.bandwidth_gbs);
  fmt::print("peak memory {:.3f} GiB, {:.0f} minor faults per step\n", number("peak_rss_bytes") / (1 << 30),
             number("minor_faults_per_step"));
  fmt::print("{} threads, {}, products by {}\n", options.threads, name(isa()),
             summary.at("gemm_backend").get<std::string>());
}

}  // namespace

int main(int argc, char** argv) try {
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
  app.add_option("--threads", options.threads, "Threads")->check(CLI::Range(1, 1024));
  app.add_flag("--json", options.json, "Print JSON");
  app.add_flag("--serve", options.serve, "A step for each line \"go\" on standard input; prints JSON");
  sequences->check(CLI::Range(1, 100'000));
  length->check(CLI::Range(1, 512));
  for (CLI::Option* option : app.get_options())
    if (option->get_items_expected_max() > 0 && option != vocab_size) option->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  set_thread_count(options.threads);
  if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
  TrainStep step(options);
  for (int warm_up = 0; warm_up < 2; ++warm_up) step.run();
  Rounds rounds(step);
  if (options.serve)
    serve(rounds);
  else
    report(options, rounds);
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
