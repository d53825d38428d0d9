// machine_rates: this machine's rate of f32 matrix products and its memory bandwidth.
//   sgemm      one call on 2048³ by each of OpenBLAS and oneDNN, with its own threads; the better
//   bandwidth  (bytes read + bytes written) / time of scaling 1 GiB of f32 in place, by bertie's threads
// Each is the median of five runs after one that isn't counted.
#include <cblas.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <oneapi/dnnl/dnnl.hpp>

#include "autograd/array.h"
#include "autograd/isa.h"
#include "autograd/threads.h"

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

template <class Work>
double median_seconds(Work work) {
  work();
  std::vector<double> seconds;
  for (int run = 0; run < 5; ++run) {
    auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

nlohmann::ordered_json sgemm_rates(int threads) {
  constexpr int n = 2048;
  std::vector<float> a(n * n), b(n * n), c(n * n);
  for (int i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i % 1021) / 1021 - 0.5f;
    b[i] = static_cast<float>(i % 769) / 769 - 0.5f;
  }
  double gflop = 2e-9 * n * n * n;
  openblas_set_num_threads(threads);
  double openblas = gflop / median_seconds([&] {
                      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n,
                                  b.data(), n, 0, c.data(), n);
                    });
  set_thread_count(threads);  // oneDNN's are OpenMP's
  double onednn = gflop / median_seconds([&] {
                    dnnl::sgemm('N', 'N', n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);
                  });
  return {{"sgemm_gflops", std::max(openblas, onednn)},
          {"sgemm_library", openblas > onednn ? "OpenBLAS" : "oneDNN"},
          {"openblas_gflops", openblas},
          {"openblas_core", openblas_get_corename()},
          {"onednn_gflops", onednn}};
}

double bandwidth_gbs() {
  constexpr int64_t n = int64_t{1} << 28, grain = int64_t{1} << 20;
  Array block = Array::empty({n}, DType::f32);
  float* x = block.mutable_data<float>();
  parallel_ranges(n, grain, [&](int64_t begin, int64_t end) { std::fill(x + begin, x + end, 1.0f); });
  double seconds = median_seconds([&] {
    parallel_ranges(n, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) x[i] *= 1.001f;
    });
  });
  return 2e-9 * static_cast<double>(block.bytes()) / seconds;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Measures this machine's rate of f32 matrix products and its memory bandwidth.");
  int threads = thread_count();
  bool json = false;
  app.add_option("--threads", threads, "Threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_flag("--json", json, "Print JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  use_right_openblas_core(argv);
  nlohmann::ordered_json rates = sgemm_rates(threads);
  rates["bandwidth_gbs"] = bandwidth_gbs();
  rates["threads"] = threads;
  rates["isa"] = name(isa());
  if (json) {
    fmt::print("{}\n", rates.dump());
  } else {
    fmt::print("sgemm {:.1f} GFLOP/s ({}; OpenBLAS for {} {:.1f}, oneDNN {:.1f})\n",
               rates["sgemm_gflops"].get<double>(), rates["sgemm_library"].get<std::string>(),
               openblas_get_corename(), rates["openblas_gflops"].get<double>(),
               rates["onednn_gflops"].get<double>());
    fmt::print("bandwidth {:.1f} GB/s\n{} threads, {}\n", rates["bandwidth_gbs"].get<double>(), threads,
               name(isa()));
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "machine_rates: {}\n", error.what());
  return 1;
}
