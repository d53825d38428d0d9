// What the benchmarks' mains share.
#pragma once
#include <functional>

namespace CLI {
class App;
}  // namespace CLI

namespace bertie {

// Lets waiting threads rest, as the programs of apps/ do (rest_waiting_threads()), adds `--threads N`, with
// `threads` as its default, parses the options of `app`, sets the number of threads and runs `body`. Returns
// the exit status: 0; 1 after an error, also where standard output can't be written; 2 for wrong usage.
int run_benchmark(CLI::App& app, int& threads, int argc, char** argv, const std::function<void()>& body);

}  // namespace bertie
