// machine_rates: this machine's rates of matrix products and its memory bandwidth.
//   sgemm      one call on 2048³ by each of OpenBLAS and oneDNN, with its own threads; the better
//   bf16       where the CPU has instructions for it, factors of bf16 and sums of f32, 2048³: oneDNN's
//              primitive with its own threads and B as it likes it, or bertie's tiles; the better
//   bandwidth  (bytes read + bytes written) / time of scaling 1 GiB of f32 in place, by bertie's threads
// With --independent instead: sgemm on one thread, and the sum of as many such sgemms as there are threads,
// each on matrices of its own, all at the same time. Their ratio is what threads can bring here.
// All are medians of five runs after one that isn't counted.
#include <cblas.h>
#include <omp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>
#include <oneapi/dnnl/dnnl.hpp>

#include "bench/bandwidth.h"
#include "bench/program.h"
#include "bertie/autograd/array.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"

namespace {

using namespace bertie;

// OpenBLAS takes older kernels for a CPU that it doesn't know, at half the speed or worse. It reads its core
// type when it is loaded, so this program starts itself once more with the one for the CPU's instructions.
void use_right_openblas_core(char** argv) {
  Isa best = available_isas().back();
  if (best == Isa::baseline) return;
  std::string right = best == Isa::avx512 ? "SkylakeX" : "Haswell";
  const char* core = std::getenv("OPENBLAS_CORETYPE");
  if (core && core == right) return;
  setenv("OPENBLAS_CORETYPE", right.c_str(), 1);
  execv("/proc/self/exe", argv);
}

// Of what five calls return, after one that isn't counted.
template <class Measure>
double median(Measure measure) {
  measure();
  std::vector<double> values;
  for (int run = 0; run < 5; ++run) values.push_back(measure());
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class Work>
double median_seconds(Work work) {
  return median([&] {
    auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  });
}

// The product of two square matrices by each library.
struct Sgemm {
  static constexpr int n = 2048;
  static constexpr double gflop = 2e-9 * n * n * n;
  std::vector<float> a = std::vector<float>(n * n), b = a, c = a;

  Sgemm() {
    for (int i = 0; i < n * n; ++i) {
      a[i] = static_cast<float>(i % 1021) / 1021 - 0.5f;
      b[i] = static_cast<float>(i % 769) / 769 - 0.5f;
    }
  }
  void openblas() {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(),
                n);
  }
  void onednn() { dnnl::sgemm('N', 'N', n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n); }
};

nlohmann::ordered_json sgemm_rates(int threads) {
  Sgemm sgemm;
  openblas_set_num_threads(threads);
  double openblas = Sgemm::gflop / median_seconds([&] { sgemm.openblas(); });
  double onednn = Sgemm::gflop / median_seconds([&] { sgemm.onednn(); });  // its threads are OpenMP's
  return {{"sgemm_gflops", std::max(openblas, onednn)},
          {"sgemm_library", openblas > onednn ? "OpenBLAS" : "oneDNN"},
          {"openblas_gflops", openblas},
          {"openblas_core", openblas_get_corename()},
          {"onednn_gflops", onednn}};
}

// Of 2048³ in bf16; 0 where the CPU has no instructions for it.
double bf16_rate(int threads) {
  if (bf16_instructions() == Bf16Instructions::none) return 0;
  using dnnl::memory;
  constexpr int64_t n = Sgemm::n;
  omp_set_num_threads(threads);  // bertie's tiles are calls of one thread
  Sgemm numbers;
  std::vector<bertie::bfloat16> a(numbers.a.begin(), numbers.a.end()), b(numbers.b.begin(), numbers.b.end());
  Product<bertie::bfloat16, float> tiles{.M = n, .N = n, .K = n, .a = {a.data(), n}, .b = {b.data(), n}};
  tiles.c = numbers.c.data();
  tiles.c_stride = n;
  double best = median_seconds([&] { gemm(tiles); });

  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  memory::desc plain({n, n}, memory::data_type::bf16, memory::format_tag::ab),
      any({n, n}, memory::data_type::bf16, memory::format_tag::any),
      sums({n, n}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::matmul::primitive_desc description(dnnl::matmul::desc(plain, any, sums), engine);
  memory A(plain, engine, a.data()), plain_b(plain, engine, b.data()), B(description.weights_desc(), engine),
      C(sums, engine, numbers.c.data());
  dnnl::reorder(plain_b, B).execute(stream, plain_b, B);
  dnnl::matmul matmul(description);
  best = std::min(best, median_seconds([&] {
                    matmul.execute(stream, {{DNNL_ARG_SRC, A}, {DNNL_ARG_WEIGHTS, B}, {DNNL_ARG_DST, C}});
                    stream.wait();
                  }));
  return Sgemm::gflop / best;
}

// By the better library. OpenMP lets each thread have a task.
nlohmann::ordered_json independent_rates(int threads) {
  std::vector<Sgemm> sgemms(threads);
  openblas_set_num_threads(1);
  auto rate = [&](int count) {
    set_thread_count(count);  // oneDNN would take more where one task runs outside of OpenMP
    auto sum = [&](void (Sgemm::*run)()) {
      std::vector<double> rates(count);
      parallel_tasks(count, [&](int64_t task) {
        rates[task] = Sgemm::gflop / median_seconds([&] { (sgemms[task].*run)(); });
      });
      return std::accumulate(rates.begin(), rates.end(), 0.0);
    };
    return std::max(sum(&Sgemm::openblas), sum(&Sgemm::onednn));
  };
  double one = rate(1), together = rate(threads);
  return {{"one_sgemm_gflops", one},
          {"independent_sgemms_gflops", together},
          {"independent_over_one", together / one}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures this machine's rates of matrix products and its memory bandwidth.");
  int threads = thread_count();
  bool independent = false, json = false;
  app.add_flag("--independent", independent, "Instead: one product on one thread, and one on each at once");
  app.add_flag("--json", json, "Print JSON");
  return run_benchmark(app, threads, argc, argv, [&] {
    use_right_openblas_core(argv);
    nlohmann::ordered_json rates = independent ? independent_rates(threads) : sgemm_rates(threads);
    if (!independent) rates["bf16_gflops"] = bf16_rate(threads);
    if (!independent)
      rates["bandwidth_gbs"] = median([bandwidth = Bandwidth()]() mutable { return bandwidth.gbs(); });
    rates["threads"] = threads;
    rates["isa"] = name(isa());
    auto number = [&](const char* key) { return rates.at(key).get<double>(); };
    if (json) {
      fmt::print("{}\n", rates.dump());
      return;
    }
    if (independent)
      fmt::print("sgemm on one thread {:.1f} GFLOP/s, {} at the same time {:.1f}: {:.2f} times\n",
                 number("one_sgemm_gflops"), threads, number("independent_sgemms_gflops"),
                 number("independent_over_one"));
    else
      fmt::print(
          "sgemm {:.1f} GFLOP/s ({}; OpenBLAS for {} {:.1f}, oneDNN {:.1f})\n"
          "bf16 {:.1f} GFLOP/s\nbandwidth {:.1f} GB/s\n",
          number("sgemm_gflops"), rates["sgemm_library"].get<std::string>(), openblas_get_corename(),
          number("openblas_gflops"), number("onednn_gflops"), number("bf16_gflops"), number("bandwidth_gbs"));
    fmt::print("{} threads, {}\n", threads, name(isa()));
  });
}
