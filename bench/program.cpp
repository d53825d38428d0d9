#include "bench/program.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/gemm.h"

namespace bertie {

int run_benchmark(CLI::App& app, int& threads, int argc, char** argv, const std::function<void()>& body) {
  rest_waiting_threads(argv, choose_openblas_kernels());
  app.add_option("--threads", threads, "Threads")->check(CLI::Range(1, most_threads))->capture_default_str();
  try {
    try {
      app.parse(argc, argv);
      set_thread_count(threads);
      body();
    } catch (const CLI::ParseError& error) {
      if (app.exit(error) != 0) return 2;
    }
    BERTIE_CHECK(std::cout.flush() && std::fflush(stdout) == 0, "output", "standard output can't be written");
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

}  // namespace bertie
