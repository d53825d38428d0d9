// ops: how fast is each operation here? Google Benchmark over the case table (tests/op_cases), forward and
// backward, in f32, and the optimizer's step. Each is shown as a share of its limit, named beside it:
//   sgemm       for an entry that tells its flops (2MNK of its products): this machine's rate, as
//               bench/machine.h has it. Runs once per library of matrix products; the backward pass counts
//               twice the forward's. Where this CPU has products of bf16, the forward pass runs with
//               these, too. And linear's with a weight in int8, by each instruction set that is there, which
//               rounds what it takes and makes floats of the sums; "int8/oneDNN" is that library's product of
//               such numbers and nothing else.
//   memory      the bytes that must move at least, as the table tells them, at the bandwidth that
//               bench/bandwidth.h measures again after every 50 ms of the operation itself. Sizes are larger
//               than caches.
//   arithmetic  where this takes longer: the time of the same operation on rows that stay in a core's cache,
//               divided among the threads.
// Rates and shares are of median times. Google Benchmark's own options work beside --threads and --json.
#include <benchmark/benchmark.h>
#include <oneapi/dnnl/dnnl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "bench/bandwidth.h"
#include "bench/machine.h"
#include "bench/program.h"
#include "bertie/autograd/backward.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/threads.h"
#include "bertie/nn/optimizer.h"
#include "bertie/ops/gemm.h"
#include "bertie/ops/int8_instructions.h"
#include "bertie/ops/packed_linear.h"
#include "bertie/ops/reduce.h"
#include "tests/op_cases/op_case.h"

namespace {

using namespace bertie;

enum class Direction { forward, backward };

template <class Work>
double seconds_of(Work work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One pass of one entry.
class Work {
 public:
  // In bf16 forward alone: what isn't a parameter is a constant there.
  Work(const OpCase& op, const Sizes& sizes, Direction direction, DType type = DType::f32)
      : op_(op), sizes_(sizes), direction_(direction) {
    std::vector<Input> inputs = op.inputs(sizes);
    std::vector<Array> arrays = make_inputs(op, sizes, DType::f32, 1);
    for (size_t i = 0; i < arrays.size(); ++i) {
      bool is_leaf = type == DType::f32 ? inputs[i].needs_gradient : inputs[i].is_parameter;
      inputs_.push_back(is_leaf ? Tensor::parameter(arrays[i]) : Tensor(arrays[i].cast(type)));
    }
    dy_ = Array::full(forward().shape(), 0.5, DType::f32);
  }

  void prepare() {
    y_ = Tensor();
    if (direction_ == Direction::forward) return;
    for (Tensor& input : inputs_)
      if (input.requires_grad()) input.zero_grad();
    y_ = forward();
  }
  void run() {
    if (direction_ == Direction::forward)
      y_ = forward();
    else
      backward(y_, dy_);
  }

 private:
  Tensor forward() const { return op_.op(inputs_, sizes_); }

  const OpCase& op_;
  Sizes sizes_;
  Direction direction_;
  std::vector<Tensor> inputs_;
  Tensor y_;
  Array dy_;
};

// The shortest time of many runs on one thread.
double cached_seconds(const OpCase& op, const Sizes& sizes, Direction direction) {
  Work work(op, sizes, direction);
  double shortest = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 200; ++run) {
    work.prepare();
    shortest = std::min(shortest, seconds_of([&] { work.run(); }));
  }
  return shortest;
}

// What the arithmetic takes on all threads: from two runs on rows that stay in a core's cache, so that what
// comes once per call drops out. The sizes' first is the number of rows; 0 where fewer rows don't get small.
double arithmetic_seconds(const OpCase& op, const Sizes& sizes, Direction direction) {
  constexpr double cache = 1 << 18;
  if (!op.bytes) return 0;
  Sizes few = sizes, one = sizes;
  few[0] =
      std::max<int64_t>(2, static_cast<int64_t>(static_cast<double>(sizes[0]) * cache / op.bytes(sizes)));
  one[0] = 1;
  if (few[0] >= sizes[0] || op.bytes(few) > 4 * cache) return 0;
  int threads = thread_count();
  set_thread_count(1);
  double per_row = (cached_seconds(op, few, direction) - cached_seconds(op, one, direction)) /
                   static_cast<double>(few[0] - 1);
  set_thread_count(threads);
  return per_row * static_cast<double>(sizes[0]) / threads;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Medians {
  double seconds, bandwidth_gbs;
};

// Runs the work as often as Google Benchmark asks, and the bandwidth in between.
template <class Prepare, class Run>
Medians measure(benchmark::State& state, Bandwidth& bandwidth, Prepare prepare, Run run) {
  std::vector<double> seconds, bandwidths{bandwidth.gbs()};
  double since = 0;
  for (auto _ : state) {
    prepare();
    seconds.push_back(seconds_of(run));
    state.SetIterationTime(seconds.back());
    since += seconds.back();
    if (since < 0.05) continue;
    bandwidths.push_back(bandwidth.gbs());
    since = 0;
  }
  return {median(seconds), median(bandwidths)};
}

void report_memory(benchmark::State& state, const Medians& medians, double bytes, double arithmetic_seconds) {
  double memory_seconds = 1e-9 * bytes / medians.bandwidth_gbs;
  state.counters["GB/s"] = 1e-9 * bytes / medians.seconds;
  state.counters["bandwidth"] = medians.bandwidth_gbs;
  state.counters["% of limit"] = 100 * std::max(memory_seconds, arithmetic_seconds) / medians.seconds;
  state.SetLabel(memory_seconds > arithmetic_seconds ? "memory" : "arithmetic");
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

template <class Body>
void add(const std::string& id, Body body) {
  benchmark::RegisterBenchmark(id.c_str(), body)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void report_products(benchmark::State& state, double flops, double seconds, const MachineRates& machine) {
  state.counters["GFLOP/s"] = 1e-9 * flops / seconds;
  state.counters["% of limit"] = 100e-9 * flops / seconds / machine.sgemm_gflops;
  state.SetLabel("sgemm");
}

// The forward pass of linear with a weight in int8, and the library's product; `id` is that of f32.
void add_int8(const std::string& id, const OpCase& linear_case, const Sizes& sizes,
              const MachineRates& machine, Bandwidth& bandwidth) {
  double flops = linear_case.flops(sizes);
  auto report = [flops, &machine, &bandwidth](benchmark::State& state, auto run) {
    Medians medians = measure(
        state, bandwidth, [] {}, run);
    report_products(state, flops, medians.seconds, machine);
  };
  for (Int8Instructions instructions : available_int8_instructions())
    add(id + "/int8/" + name(instructions),
        [&linear_case, &sizes, report, instructions](benchmark::State& state) {
          std::vector<Array> inputs = make_inputs(linear_case, sizes, DType::f32, 1);
          PackedWeight W(inputs[1], DType::i8);
          Tensor x = inputs[0], b = inputs[2], y;
          set_int8_instructions(instructions);
          report(state, [&] { y = linear(x, W, b); });
          set_int8_instructions(std::nullopt);
        });
  add(id + "/int8/oneDNN", [&sizes, report](benchmark::State& state) {
    int64_t M = sizes[0], K = sizes[1], N = sizes[2];
    std::vector<uint8_t> x(M * K, 3);
    std::vector<int8_t> W(N * K, 5);
    std::vector<int32_t> y(M * N);
    int32_t zero = 0;
    report(state, [&] {
      dnnl_gemm_u8s8s32('N', 'T', 'F', M, N, K, 1, x.data(), K, 0, W.data(), K, 0, 0, y.data(), N, &zero);
    });
    BERTIE_CHECK(y.front() == 15 * K && y.back() == 15 * K, "ops", "oneDNN's product of int8 is wrong");
  });
}

void add_op(const OpCase& op, const Sizes& sizes, Direction direction, const MachineRates& machine,
            Bandwidth& bandwidth) {
  std::string id =
      op.name + "/" + title(sizes) + (direction == Direction::forward ? "/forward" : "/backward");
  auto run = [&op, &sizes, &bandwidth, direction](benchmark::State& state, DType type = DType::f32) {
    Work work(op, sizes, direction, type);
    return measure(
        state, bandwidth, [&] { work.prepare(); }, [&] { work.run(); });
  };
  if (!op.flops) {
    const auto& bytes = direction == Direction::forward ? op.bytes : op.backward_bytes;
    if (!bytes || bytes(sizes) == 0) return;  // moves nothing
    add(id, [&op, &sizes, &bytes, direction, run](benchmark::State& state) {
      double arithmetic = arithmetic_seconds(op, sizes, direction);
      report_memory(state, run(state), bytes(sizes), arithmetic);
    });
    return;
  }
  auto measure_products = [&op, &sizes, &machine, direction, run](benchmark::State& state,
                                                                  DType type = DType::f32) {
    double flops = (direction == Direction::forward ? 1 : 2) * op.flops(sizes);
    report_products(state, flops, run(state, type).seconds, machine);
  };
  if (direction == Direction::forward && bf16_instructions() != Bf16Instructions::none)
    add(id + "/bf16", [measure_products](benchmark::State& state) { measure_products(state, DType::bf16); });
  if (direction == Direction::forward && op.name == "linear") add_int8(id, op, sizes, machine, bandwidth);
  if (!op.calls_library) return add(id, measure_products);
  for (GemmBackend backend : {GemmBackend::openblas, GemmBackend::onednn})
    add(id + "/" + name(backend), [measure_products, backend](benchmark::State& state) {
      set_gemm_backend(backend);
      measure_products(state);
      set_gemm_backend(std::nullopt);
    });
}

// The optimizer on 2²⁵ parameters, 512 MiB with gradients and moments: once as it is, and with the norm.
class Step : public Module {
 public:
  Step() : weight_(add_parameter("weight", Array::full({1 << 15, 1 << 10}, 0.1, DType::f32))), block_(*this) {
    backward(mean(weight_));
  }
  double parameters() const { return static_cast<double>(block_.size()); }
  void run(bool clip) { optimizer_.step(1e-4, clip ? clip_factor(block_.gradient_norm(), 1) : 1); }

 private:
  Tensor weight_;
  ParameterBlock block_;
  AdamW optimizer_{block_, {.weight_decay = 0.01}};
};

void add_optimizer(Bandwidth& bandwidth) {
  for (bool clip : {false, true})
    add(clip ? "AdamW with clipping/33554432" : "AdamW/33554432",
        [&bandwidth, clip](benchmark::State& state) {
          Step step;
          Medians medians = measure(
              state, bandwidth, [] {}, [&] { step.run(clip); });
          report_memory(state, medians, (clip ? 32 : 28) * step.parameters(), 0);
        });
}

}  // namespace

int main(int argc, char** argv) {
  rest_waiting_threads(argv, choose_openblas_kernels());  // before arguments are taken away
  std::vector<char*> arguments(argv, argv + argc);
  std::string table = "--benchmark_counters_tabular=true", json = "--benchmark_format=json";
  for (char*& argument : arguments)
    if (std::string(argument) == "--json") argument = json.data();
  arguments.insert(arguments.begin() + 1, table.data());
  argc = static_cast<int>(arguments.size());
  benchmark::Initialize(&argc, arguments.data(), [] {
    fmt::print(
        "Measures every operation of the case table and the optimizer as shares of their limits.\n"
        "--threads N sets the number of threads, --json prints JSON.\n");
    benchmark::PrintDefaultHelp();
  });
  CLI::App app;
  int threads = thread_count();
  return run_benchmark(app, threads, argc, arguments.data(), [&] {
    if (std::string advice = gemm_advice(); !advice.empty()) fmt::print(stderr, "{}\n", advice);
    MachineRates machine = measure_machine(threads);
    Bandwidth bandwidth;
    benchmark::AddCustomContext("threads", std::to_string(threads));
    benchmark::AddCustomContext("isa", name(isa()));
    benchmark::AddCustomContext("sgemm_gflops", fmt::format("{:.1f}", machine.sgemm_gflops));
    benchmark::AddCustomContext("sgemm_library", machine.sgemm_library);
    benchmark::AddCustomContext("bandwidth_gbs", fmt::format("{:.1f}", machine.bandwidth_gbs));
    add_optimizer(bandwidth);
    for (const OpCase& op : op_cases())
      for (const Sizes& sizes : op.bench_sizes)
        for (Direction direction : {Direction::forward, Direction::backward})
          add_op(op, sizes, direction, machine, bandwidth);
    BERTIE_CHECK(benchmark::RunSpecifiedBenchmarks() > 0, "ops", "--benchmark_filter matches nothing");
  });
}
