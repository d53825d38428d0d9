// step_schedule: what a process of several has to send in a training step of a BERT, and when: the schedule
// that bench/play_schedule.cpp plays.
//
// Steps of bench/bert_step.h by the real loop and the real exchange of gradients, in the first of 2, 4, …
// processes. The others aren't there: what is sent to them vanishes, what comes from them is zeros at once.
// All seconds are processor time of a thread, so that other programs matter little: a single one computes.
// Prints JSON; of each call that the process makes to the others
//   call    exchange or gather (nn/processes.h), and the bytes of each process, those for it or its own
//   ready   seconds from the step's beginning until the last gradient of the bucket was final; 0 of a gather
//   work    seconds that its thread computes between the call before and this one
//   main    whether the thread that computes the step makes it
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/bert_input.h"
#include "bench/bert_step.h"
#include "bench/program.h"
#include "bertie/ops/gemm.h"

namespace {

using namespace bertie;
using Json = nlohmann::ordered_json;

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

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
    last_end_ = thread_seconds();
  }
  void gather(std::span<std::byte> /*data*/, std::span<const int64_t> sizes) override {
    note("gather", sizes);
    last_end_ = thread_seconds();
  }
  void end_all() override { std::_Exit(1); }

  struct Call {
    std::string name;
    std::vector<int64_t> bytes;
    bool main;
    double at, work;  // of the calling thread: when it called, and since its last call
  };
  std::vector<Call>& calls() { return calls_; }

 private:
  double peer_timeout() const override { return 60; }
  void note(const char* name, std::span<const int64_t> bytes) {
    double now = thread_seconds();
    calls_.push_back(
        {name, {bytes.begin(), bytes.end()}, std::this_thread::get_id() == main_, now, now - last_end_});
  }

  int count_;
  std::thread::id main_ = std::this_thread::get_id();
  std::vector<Call> calls_;
  static thread_local double last_end_;  // of a call
};

thread_local double FirstOf::last_end_ = 0;

// Of a step that began at `start` of this thread.
Json schedule(const std::vector<FirstOf::Call>& calls, const ParameterBlock& parameters,
              const std::map<const Node*, double>& final_at, double start) {
  Json result = Json::array();
  int64_t unsent = parameters.size() * element_size(parameters.dtype());
  double computed = 0;  // by this thread, until the last thing that it did for a call
  for (const FirstOf::Call& call : calls) {
    double ready = 0, work = call.work;
    if (call.name == "exchange") {  // of everything from here to the last one's
      for (int64_t bytes : call.bytes) unsent -= bytes;
      for (const ParameterBlock::Segment& segment : parameters.segments())
        if (segment.end * element_size(parameters.dtype()) > unsent)
          ready = std::max(ready, final_at.at(segment.parameter.tensor.node().get()) - start);
      computed = std::max(computed, ready);
    } else if (call.main) {
      work = call.at - start - std::exchange(computed, call.at - start);
    }
    result.push_back(
        {{"call", call.name}, {"bytes", call.bytes}, {"ready", ready}, {"work", work}, {"main", call.main}});
  }
  return result;
}

Json recorded_step(const std::string& preset, int64_t sequences, int64_t length, int count) {
  FirstOf processes(count);
  std::vector<int64_t> lengths(sequences * count, length);
  BertStep step(benchmark_config(preset), packing_of(lengths), Precision::of_parameters, count, false,
                processes);
  std::map<const Node*, double> final_at;
  double start = 0;
  for (int run = 0; run < 2; ++run) {  // the first one warms up
    processes.calls().clear();
    start = thread_seconds();
    step.run([&](const Tensor& parameter) { final_at[parameter.node().get()] = thread_seconds(); });
  }
  return {{"nodes", count},
          {"seconds", thread_seconds() - start},
          {"calls", schedule(processes.calls(), step.parameters(), final_at, start)}};
}

}  // namespace

int main(int argc, char** argv) {
  std::string preset = "base";
  int64_t sequences = 8, length = 128;
  std::vector<int> nodes = {2, 4, 8, 16, 32, 64};
  int threads = 1;
  CLI::App app("Records what a process of several sends in a training step of BERT, and when.");
  app.add_option("--preset", preset, "Size of the model")->check(CLI::IsMember(bert_preset_names()));
  app.add_option("--sequences", sequences, "Sequences for each process")->check(CLI::Range(1, 100'000));
  app.add_option("--length", length, "Tokens of a sequence")->check(CLI::Range(1, 512));
  app.add_option("--nodes", nodes, "Numbers of processes")->delimiter(',')->check(CLI::Range(2, 1000));
  return run_benchmark(app, threads, argc, argv, [&] {
    if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
    BERTIE_CHECK(threads == 1, "step_schedule", "one thread's time is recorded, not that of {}", threads);
    Json result = Json::array();
    for (int count : nodes) result.push_back(recorded_step(preset, sequences, length, count));
    std::cout << result.dump() << "\n";
  });
}
