// infer: what running the encoder of a BERT costs, in time.
//
// Texts of random ids, of the given lengths, cut into batches in their order; BertModel without a pooler,
// random weights, nothing recorded for gradients. Each batch runs twice for warm-up, then for a second
// and at least five times; its time is the median.
//   gflops   2MNK of every matrix product, attention's included, per second
//   share    of this machine's own rate of products, which a process of its own measures at the end
//            (bench/machine.h)
//
// --serve lets a driver (bench/compare_inference.py) alternate this program with others, so that all meet
// the same machine: after the warm-up it prints {"ready": true}; then, for each line "go" on standard input,
// it runs all batches once and prints {"seconds": s}; at the end of input it prints a summary.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/bert_input.h"
#include "bench/machine.h"
#include "bench/program.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/files/safetensors.h"
#include "bertie/models/bert.h"
#include "bertie/models/bert_flops.h"
#include "bertie/models/pretrained.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/int8_instructions.h"

namespace {

using namespace bertie;
using Json = nlohmann::ordered_json;

struct Options {
  std::string preset = "base";
  std::vector<int64_t> lengths = {16, 128, 384};
  int64_t batch = 1;
  int threads = thread_count();
  std::string save;
  std::string precision = "f32";
  bool json = false;
  bool serve = false;
};

class Inference {
 public:
  explicit Inference(const Options& options)
      : config_(bert_preset(options.preset)),
        init_(Initializer::normal(config_.initializer_range, 0)),
        model_(config_, init_, false) {
    model_.eval();
    if (!options.save.empty()) save_model(options.save);  // packed ones can't be saved
    precision_ = choose_precision(options.precision).precision;
    model_.pack(packed(precision_));
    give_back_free_memory();
    Random random(0);
    std::span<const int64_t> lengths = options.lengths;
    while (!lengths.empty()) {
      std::span<const int64_t> batch = lengths.first(std::min<size_t>(options.batch, lengths.size()));
      lengths = lengths.subspan(batch.size());
      BertInput input;
      input.pass.packing = packing_of(batch);
      input.ids = random_ids(random, input.pass.packing.tokens(), config_.vocab_size);
      inputs_.push_back(std::move(input));
    }
    for (int warm_up = 0; warm_up < 2; ++warm_up) run_all();
  }

  size_t batches() const { return inputs_.size(); }
  const Packing& packing(size_t batch) const { return inputs_[batch].pass.packing; }
  double flops(size_t batch) const { return encoder_flops(config_, packing(batch).offsets); }

  // Whose instructions the products take.
  const char* instructions() const {
    if (precision_ == Precision::int8) return name(int8_instructions());
    if (precision_ == Precision::bf16) return name(bf16_instructions());
    return name(isa());
  }

  // Seconds of one forward pass.
  double run(size_t batch) const {
    NoGrad no_grad;
    auto start = std::chrono::steady_clock::now();
    model_.last_hidden_state(inputs_[batch]);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  double run_all() const {
    double seconds = 0;
    for (size_t batch = 0; batch < batches(); ++batch) seconds += run(batch);
    return seconds;
  }

  // texts.safetensors: ids [T] i32, offsets [N + 1] i64 and last_hidden_state [T, H] f32 of all texts.
  void save_texts(const std::string& folder) const {
    NoGrad no_grad;
    std::vector<int64_t> offsets = {0};
    for (const BertInput& input : inputs_)
      for (int64_t n = 0, first = offsets.back(); n < input.pass.packing.sequences(); ++n)
        offsets.push_back(first + input.pass.packing.offsets[n + 1]);
    Array ids = Array::empty({offsets.back()}, DType::i32);
    Array hidden = Array::empty({offsets.back(), config_.hidden_size}, DType::f32);
    int64_t at = 0;
    for (const BertInput& input : inputs_) {
      int64_t end = at + input.ids.size();
      ids.rows(at, end).copy_from(input.ids);
      hidden.rows(at, end).convert_from(model_.last_hidden_state(input).array());
      at = end;
    }
    write_safetensors(folder + "/texts.safetensors",
                      {{"ids", ids}, {"offsets", Array::from(offsets)}, {"last_hidden_state", hidden}});
  }

 private:
  // config.json and model.safetensors, which transformers loads as a BertModel.
  void save_model(const std::string& folder) const {
    std::filesystem::create_directories(folder);
    write_bert_config(folder + "/config.json", config_, "BertModel");
    save_weights(model_, folder + "/model.safetensors");
  }

  BertConfig config_;
  Precision precision_;
  Initializer init_;
  BertModel model_;
  std::vector<BertInput> inputs_;
};

void say(const Json& value) { std::cout << value.dump() << std::endl; }

void serve(const Inference& inference) {
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    BERTIE_CHECK(line == "go", "infer", "expected a line \"go\", got \"{}\"", line);
    say({{"seconds", inference.run_all()}});
  }
  int64_t tokens = 0;
  double gflop = 0;
  for (size_t batch = 0; batch < inference.batches(); ++batch) {
    tokens += inference.packing(batch).tokens();
    gflop += 1e-9 * inference.flops(batch);
  }
  say({{"tokens", tokens}, {"gflop", gflop}, {"isa", name(isa())}});
}

double median_seconds(const Inference& inference, size_t batch) {
  std::vector<double> runs;
  for (double total = 0; runs.size() < 5 || total < 1; total += runs.back())
    runs.push_back(inference.run(batch));
  std::nth_element(runs.begin(), runs.begin() + runs.size() / 2, runs.end());
  return runs[runs.size() / 2];
}

Json row(int64_t texts, int64_t tokens, double flops, double seconds, const MachineRates& machine) {
  return {{"texts", texts},
          {"tokens", tokens},
          {"seconds", seconds},
          {"tokens_per_second", static_cast<double>(tokens) / seconds},
          {"gflops", 1e-9 * flops / seconds},
          {"share_of_sgemm", 1e-9 * flops / seconds / machine.sgemm_gflops}};
}

Json measure(const Options& options, const Inference& inference) {
  std::vector<double> seconds;
  for (size_t batch = 0; batch < inference.batches(); ++batch)
    seconds.push_back(median_seconds(inference, batch));
  MachineRates machine = measure_machine(options.threads);
  Json batches = Json::array();
  int64_t tokens = 0;
  double flops = 0, sum = 0;
  for (size_t batch = 0; batch < inference.batches(); ++batch) {
    const Packing& packing = inference.packing(batch);
    batches.push_back(
        row(packing.sequences(), packing.tokens(), inference.flops(batch), seconds[batch], machine));
    tokens += packing.tokens();
    flops += inference.flops(batch);
    sum += seconds[batch];
  }
  return {{"batches", batches},
          {"all", row(std::ssize(options.lengths), tokens, flops, sum, machine)},
          {"sgemm_gflops", machine.sgemm_gflops},
          {"sgemm_library", machine.sgemm_library},
          {"bandwidth_gbs", machine.bandwidth_gbs},
          {"threads", options.threads},
          {"instructions", inference.instructions()}};
}

void print(const Json& result) {
  fmt::print("{:>6}{:>8}{:>10}{:>10}{:>10}{:>10}\n", "texts", "tokens", "ms", "tokens/s", "GFLOP/s",
             "of sgemm");
  auto line = [](const Json& row, const char* note = "") {
    auto number = [&](const char* key) { return row.at(key).get<double>(); };
    fmt::print("{:6}{:8}{:10.2f}{:10.0f}{:10.1f}{:9.0f}%  {}\n", row.at("texts").get<int64_t>(),
               row.at("tokens").get<int64_t>(), 1e3 * number("seconds"), number("tokens_per_second"),
               number("gflops"), 100 * number("share_of_sgemm"), note);
  };
  for (const Json& row : result.at("batches")) line(row);
  line(result.at("all"), "all");
  fmt::print("{} threads, {}; this machine's sgemm {:.1f} GFLOP/s ({}), bandwidth {:.1f} GB/s\n",
             result.at("threads").get<int>(), result.at("instructions").get<std::string>(),
             result.at("sgemm_gflops").get<double>(), result.at("sgemm_library").get<std::string>(),
             result.at("bandwidth_gbs").get<double>());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures a forward pass of BERT's encoder on texts of random ids.");
  app.footer(
      "Examples:\n"
      "  infer --lengths 16,128,384                     three texts, one at a time\n"
      "  infer --lengths 9,31,12,40 --batch 2 --json    two batches of two texts");
  app.add_option("--preset", options.preset, "Size of the model")->check(CLI::IsMember(bert_preset_names()));
  app.add_option("--lengths", options.lengths, "Tokens of each text")
      ->delimiter(',')
      ->check(CLI::Range(1, 512));
  app.add_option("--batch", options.batch, "Texts of a batch")->check(CLI::Range(1, 100'000));
  app.add_option("--precision", options.precision,
                 "What products take: f32, bf16, int8, or auto: bf16 where it gains")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "auto"}));
  for (CLI::Option* option : app.get_options())
    if (option->get_items_expected_max() > 0) option->capture_default_str();
  app.add_option(
      "--save", options.save,
      "Write weights (in f32), ids and results to this folder, for another program to compute the same");
  CLI::Option* json = app.add_flag("--json", options.json, "Print JSON");
  app.add_flag("--serve", options.serve,
               "All batches once for each line \"go\" on standard input; prints JSON")
      ->excludes(json);
  return run_benchmark(app, options.threads, argc, argv, [&] {
    if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
    Inference inference(options);
    if (!options.save.empty()) inference.save_texts(options.save);
    if (options.serve) {
      serve(inference);
      return;
    }
    Json result = measure(options, inference);
    if (options.json)
      say(result);
    else
      print(result);
  });
}
