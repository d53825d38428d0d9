// ops: Google Benchmark over the case table (tests/op_cases), forward and backward, in f32.
//
// An entry that tells its flops (2MNK of its products) runs once per library of matrix products and is
// measured against this machine's sgemm rate; its backward pass counts twice the forward's. Others are
// measured against the machine's bandwidth (bench/machine.h): forward by the bytes that the entry tells,
// backward by the least that it can move: dy read and each gradient written that isn't dy itself. What
// fits into a cache can be faster than memory: more than 100 %. Google Benchmark's own options work beside
// --threads.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <optional>

#include "autograd/backward.h"
#include "autograd/isa.h"
#include "autograd/threads.h"
#include "bench/machine.h"
#include "ops/gemm.h"
#include "tests/op_cases/op_case.h"

namespace {

using namespace bertie;

class Benchmark {
 public:
  Benchmark(const OpCase& op, const Sizes& sizes) : op_(op), sizes_(sizes) {
    std::vector<Input> inputs = op.inputs(sizes);
    std::vector<Array> arrays = make_inputs(op, sizes, DType::f32, 1);
    for (size_t i = 0; i < arrays.size(); ++i)
      inputs_.push_back(inputs[i].needs_gradient ? Tensor::parameter(arrays[i]) : Tensor(arrays[i]));
  }

  Tensor forward() const { return op_.op(inputs_, sizes_); }
  double flops() const { return op_.flops ? op_.flops(sizes_) : 0; }
  double bytes() const { return op_.bytes ? op_.bytes(sizes_) : 0; }

  void zero_grad() const {
    for (const Tensor& input : inputs_)
      if (input.requires_grad()) input.zero_grad();
  }

  // Of the last backward pass; 0 where all gradients are dy itself.
  double backward_bytes(const Array& dy) const {
    int64_t written = 0;
    for (const Tensor& input : inputs_)
      if (input.requires_grad() && input.grad().storage() != dy.storage()) written += input.grad().bytes();
    return static_cast<double>(written > 0 ? dy.bytes() + written : 0);
  }

 private:
  const OpCase& op_;
  const Sizes& sizes_;
  std::vector<Tensor> inputs_;
};

// Runs `measured` as often as Google Benchmark asks, each time after `prepare`, which isn't timed. Returns
// the seconds of one run.
template <class Prepare, class Measured>
double seconds_per_run(benchmark::State& state, Prepare prepare, Measured measured) {
  double seconds = 0;
  for (auto _ : state) {
    prepare();
    auto start = std::chrono::steady_clock::now();
    measured();
    double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state.SetIterationTime(elapsed);
    seconds += elapsed;
  }
  return seconds / static_cast<double>(state.iterations());
}

void set_counters(benchmark::State& state, const MachineRates& machine, double flops, double bytes,
                  double seconds) {
  if (flops > 0) {
    state.counters["GFLOP/s"] = 1e-9 * flops / seconds;
    state.counters["% of sgemm"] = 1e-7 * flops / seconds / machine.sgemm_gflops;
  } else if (bytes > 0) {
    state.counters["GB/s"] = 1e-9 * bytes / seconds;
    state.counters["% of bandwidth"] = 1e-7 * bytes / seconds / machine.bandwidth_gbs;
  }
}

void run_forward(benchmark::State& state, const Benchmark& work, const MachineRates& machine) {
  Tensor y;
  double seconds = seconds_per_run(
      state, [&] { y = Tensor(); }, [&] { y = work.forward(); });
  set_counters(state, machine, work.flops(), work.bytes(), seconds);
}

void run_backward(benchmark::State& state, const Benchmark& work, const MachineRates& machine) {
  Tensor y = work.forward();
  Array dy = Array::full(y.shape(), 0.5, DType::f32);
  double seconds = seconds_per_run(
      state,
      [&] {
        work.zero_grad();
        y = work.forward();
      },
      [&] { backward(y, dy); });
  set_counters(state, machine, 2 * work.flops(), work.backward_bytes(dy), seconds);
}

// "1024x768", the middle of a long one left out.
std::string title(const Sizes& sizes) {
  std::string text;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0) text += 'x';
    if (sizes.size() > 6 && i == 4) {
      text += "...x";
      i = sizes.size() - 1;
    }
    text += std::to_string(sizes[i]);
  }
  return text;
}

using Run = void (*)(benchmark::State&, const Benchmark&, const MachineRates&);

void add(const OpCase& op, const Sizes& sizes, const char* pass, Run run, std::optional<GemmBackend> backend,
         const MachineRates& machine) {
  std::string id = op.name + "/" + title(sizes) + "/" + pass;
  if (backend) id += std::string("/") + name(*backend);
  auto body = [&op, &sizes, &machine, run, backend](benchmark::State& state) {
    set_gemm_backend(backend);
    run(state, Benchmark(op, sizes), machine);
    set_gemm_backend(std::nullopt);
  };
  benchmark::RegisterBenchmark(id.c_str(), body)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv, [] {
    fmt::print("Measures every operation of the case table. --threads N sets the number of threads.\n");
    benchmark::PrintDefaultHelp();
  });
  CLI::App app;
  int threads = thread_count();
  app.add_option("--threads", threads)->check(CLI::Range(1, 1024));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  set_thread_count(threads);
  if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
  MachineRates machine = measure_machine(threads);
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::AddCustomContext("isa", name(isa()));
  benchmark::AddCustomContext("sgemm_gflops", fmt::format("{:.1f}", machine.sgemm_gflops));
  benchmark::AddCustomContext("sgemm_library", machine.sgemm_library);
  benchmark::AddCustomContext("bandwidth_gbs", fmt::format("{:.1f}", machine.bandwidth_gbs));
  for (const OpCase& op : op_cases()) {
    for (const Sizes& sizes : op.bench_sizes) {
      std::vector<std::optional<GemmBackend>> backends{std::nullopt};
      if (op.flops) backends = {GemmBackend::openblas, GemmBackend::onednn};
      for (auto [pass, run] :
           {std::pair<const char*, Run>{"forward", run_forward}, {"backward", run_backward}})
        for (std::optional<GemmBackend> backend : backends) add(op, sizes, pass, run, backend, machine);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
