// step_schedule: what a process of several has to send in a training step of a BERT, and when: the schedule
// that bench/play_schedule.cpp plays.
//
// Steps of bench/bert_step.h by the real loop and the real exchange of gradients, in the first of 2, 4, …
// processes. The others aren't there: what is sent to them vanishes, what comes from them is zeros at once.
// Prints JSON, of the shortest of three steps for each number of processes; of each call that one makes to
// the others
//   call    exchange or gather (nn/processes.h), and the bytes of each process, those for it or its own
//   ready   seconds from the step's beginning until the last gradient of the bucket was final; 0 of a gather
//   work    seconds between that or the end of the call before, whichever is later, and the call
//   main    whether the thread that computes makes it: then the work is that of the step
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/bert_input.h"
#include "bench/bert_step.h"
#include "bench/program.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"

namespace {

using namespace bertie;
using Json = nlohmann::ordered_json;

// The first process of several, of which the others add nothing.
class FirstOf : public Processes {
 public:
  explicit FirstOf(int count) : count_(count) {}
  int rank() const override { return 0; }
  int count() const override { return count_; }
  void exchange(std::span<const std::byte> sent, std::span<const int64_t> sent_sizes,
                std::span<std::byte> received, std::span<const int64_t> received_sizes) override {
    note("exchange", sent_sizes);
    std::fill(std::copy_n(sent.begin(), received_sizes[0], received.begin()), received.end(), std::byte{0});
    calls_.back().end = monotonic_seconds();
  }
  void gather(std::span<std::byte> /*data*/, std::span<const int64_t> sizes) override {
    note("gather", sizes);
    calls_.back().end = monotonic_seconds();
  }
  void end_all() override { std::_Exit(1); }

  struct Call {
    std::string name;
    std::vector<int64_t> bytes;
    bool main;
    double begin, end;
  };
  std::vector<Call> take_calls() { return std::exchange(calls_, {}); }

 private:
  double peer_timeout() const override { return 60; }
  void note(const char* name, std::span<const int64_t> bytes) {
    calls_.push_back(
        {name, {bytes.begin(), bytes.end()}, std::this_thread::get_id() == main_, monotonic_seconds(), 0});
  }

  int count_;
  std::thread::id main_ = std::this_thread::get_id();
  std::vector<Call> calls_;
};

// Of a step that has run since `start`.
Json schedule(const std::vector<FirstOf::Call>& calls, const ParameterBlock& parameters,
              const std::map<const Node*, double>& final_at, double start) {
  Json result = Json::array();
  double before = start;
  int64_t unsent = parameters.size() * element_size(parameters.dtype());
  for (const FirstOf::Call& call : calls) {
    double ready = start;
    if (call.name == "exchange") {  // of everything from here to the last one's
      for (int64_t bytes : call.bytes) unsent -= bytes;
      for (const ParameterBlock::Segment& segment : parameters.segments())
        if (segment.end * element_size(parameters.dtype()) > unsent)
          ready = std::max(ready, final_at.at(segment.parameter.tensor.node().get()));
    }
    result.push_back({{"call", call.name},
                      {"bytes", call.bytes},
                      {"ready", ready - start},
                      {"work", std::max(0.0, call.begin - std::max(before, ready))},
                      {"main", call.main}});
    before = call.end;
  }
  return result;
}

Json shortest_step(const std::string& preset, int64_t sequences, int64_t length, int count) {
  FirstOf processes(count);
  std::vector<int64_t> lengths(sequences * count, length);
  BertStep step(benchmark_config(preset), packing_of(lengths), count, &processes);
  Json shortest;
  for (int run = 0; run < 4; ++run) {
    std::map<const Node*, double> final_at;
    double start = monotonic_seconds();
    step.run([&](const Tensor& parameter) { final_at[parameter.node().get()] = monotonic_seconds(); });
    double seconds = monotonic_seconds() - start;
    Json calls = schedule(processes.take_calls(), step.parameters(), final_at, start);
    if (run == 1 || (run > 1 && seconds < shortest.at("seconds")))  // the first one warms up
      shortest = {{"nodes", count}, {"seconds", seconds}, {"calls", calls}};
  }
  return shortest;
}

}  // namespace

int main(int argc, char** argv) {
  std::string preset = "base";
  int64_t sequences = 8, length = 128;
  std::vector<int> nodes = {2, 4, 8, 16, 32, 64};
  int threads = thread_count();
  CLI::App app("Records what a process of several sends in a training step of BERT, and when.");
  app.add_option("--preset", preset, "Size of the model")->check(CLI::IsMember(bert_preset_names()));
  app.add_option("--sequences", sequences, "Sequences for each process")->check(CLI::Range(1, 100'000));
  app.add_option("--length", length, "Tokens of a sequence")->check(CLI::Range(1, 512));
  app.add_option("--nodes", nodes, "Numbers of processes")->delimiter(',')->check(CLI::Range(2, 1000));
  return run_benchmark(app, threads, argc, argv, [&] {
    if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
    Json result = {{"preset", preset},
                   {"sequences", sequences},
                   {"length", length},
                   {"threads", threads},
                   {"steps", Json::array()}};
    for (int count : nodes) result["steps"].push_back(shortest_step(preset, sequences, length, count));
    std::cout << result.dump() << "\n";
  });
}
