#include "apps/program.h"

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <thread>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/autograd/version.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/ops/gemm.h"

namespace bertie {
namespace {

std::atomic<bool> interrupt_came{false};

void note_interrupt(int) {
  if (interrupt_came.exchange(true)) _exit(130);
}

// SIGINT and SIGTERM are blocked on every thread that computes, and one thread waits for them. A handler
// writes its frame where the interrupted thread's stack pointer is, and oneDNN 2.6's sgemm on AVX-512 doesn't
// keep that on the stack: a timer's signal during dnnl_sgemm alone corrupts the heap, unless the handler has
// a stack of its own. The handler here is for threads that a library made before main() and that only wait.
void watch_signals() {
  static sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // threads that are made later inherit it
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // writing past `ulimit -f` fails instead
  std::thread([] {
    for (int received = 0;;) {
      sigwait(&signals, &received);
      note_interrupt(received);
    }
  }).detach();
}

// On standard error, where text may get lost (closed, a full disk): the work goes on.
void write_now(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  rest_waiting_threads(argv);  // perhaps by starting anew: nothing with an effect may come before
  int threads = 0;
  app.add_option("--threads", threads, "Threads to compute with (default: one per processor)")
      ->check(CLI::Range(1, most_threads));
  app.set_version_flag("--version", fmt::format("{} (bertie) {}", app.get_name(), version()),
                       "Print the version and exit");
  app.get_formatter()->column_width(34);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      if (std::cout.flush()) return 0;
      print_message(app.get_name() + ": [output] standard output can't be written");
      return 1;
    }
    print_message(app.get_name() + ": " + error.what() + " (--help tells more)");
    return 2;
  }
  watch_signals();
  try {
    if (threads > 0) set_thread_count(threads);
    gemm_backend(DType::f32, 1, 1, 1);  // throws, now rather than later, where BERTIE_GEMM names none
    if (std::string advice = gemm_advice(); !advice.empty()) print_message(advice);
    body();
    if (std::fflush(stdout) != 0) fail("output", "standard output can't be written");
  } catch (const std::exception& error) {
    std::string text = error.what();
    print_message(app.get_name() + ": " + (text.empty() ? "failed" : text));
    return interrupted() ? 130 : 1;
  }
  return interrupted() ? 130 : 0;
}

std::string check_file_name(const std::string& name) { return name.empty() ? "needs a name" : ""; }

CLI::Validator number_in(double low, double high) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        bool within = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return within ? std::string() : fmt::format("{} is not a number in {} ... {}", text, low, high);
      },
      fmt::format("FLOAT in [{} - {}]", low, high));
}

CLI::Option* take_brackets(CLI::Option* option) {
  // Only an unlimited number of values has CLI11 look for brackets.
  return option->expected(1, 1 << 24)->allow_extra_args(false)->type_name("TEXT ...");
}

void prepare_model_folder(const std::string& folder, bool overwrite, int64_t model_bytes) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  BERTIE_CHECK(!error, "output", "can't make the folder {}: {}", folder, error.message());
  for (const char* file : {"config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors",
                           "metrics.jsonl", unfinished_metrics})
    BERTIE_CHECK(overwrite || !std::filesystem::exists(folder + "/" + file), "output",
                 "{} is there already; --overwrite replaces it", folder + "/" + file);
  AtomicFile probe(folder + "/model.safetensors");  // not committed: removed again
  auto free = static_cast<int64_t>(std::filesystem::space(folder, error).available);
  BERTIE_CHECK(error || free > model_bytes, "output", "{} has room for {} bytes, the model needs {}", folder,
               free, model_bytes);
}

bool interrupted() { return interrupt_came; }

void print_message(const std::string& text) { write_now(text + "\n"); }

void print_result(const std::string& text) {
  bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fputc('\n', stdout) != EOF;
  BERTIE_CHECK(written && std::fflush(stdout) == 0, "output", "standard output can't be written");
}

std::string duration(double seconds) {
  int64_t total = std::llround(seconds);
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

Progress::Progress(int64_t total) : total_(total), terminal_(isatty(STDERR_FILENO)), last_(Clock::now()) {}

Progress::~Progress() { clear(); }

void Progress::update(int64_t done, const std::function<std::string()>& details) {
  Clock::time_point now = Clock::now();
  double waited = std::chrono::duration<double>(now - last_).count();
  if (waited < (terminal_ ? 0.2 : 10)) return;
  last_ = now;
  if (!terminal_) return message("  {}/{}  {}", done, total_, details());
  constexpr int width = 24;
  int filled = static_cast<int>(done * width / std::max<int64_t>(total_, 1));
  write_now(fmt::format("\r\033[K[{}{}] {}/{}  {}", std::string(filled, '#'),
                        std::string(width - filled, '.'), done, total_, details()));
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  write_now("\r\033[K");
  shown_ = false;
}

}  // namespace bertie
