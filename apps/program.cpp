#include "apps/program.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "apps/options.h"
#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/autograd/version.h"
#include "bertie/ops/gemm.h"

namespace bertie {
namespace {

<<<<<<< HEAD
// Nobody reads standard output any more, as behind `| head`.
struct NoReader : std::exception {};
=======
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
>>>>>>> help-d

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  rest_waiting_threads(argv);  // perhaps by starting anew: nothing with an effect may come before
  int threads = 0;
  app.add_option("--threads", threads, "Threads to compute with (default: one per processor)")
      ->transform(integer_in(1, most_threads));
  app.set_version_flag("--version", fmt::format("{} (bertie) {}", app.get_name(), version()),
                       "Print the version and exit");
  try {
    if (std::optional<int> status = parse_options(app, argc, argv)) return *status;
    watch_signals();
    if (threads > 0) set_thread_count(threads);
    gemm_backend(DType::f32, 1, 1, 1);  // throws, now rather than later, where BERTIE_GEMM names none
    if (std::string advice = gemm_advice(); !advice.empty()) print_message(advice);
    body();
    if (std::fflush(stdout) != 0) fail("output", "standard output can't be written");
  } catch (const NoReader&) {  // ends as other tools do, quietly
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    return 128 + SIGPIPE;
  } catch (const std::exception& error) {
    std::string text = error.what();
    print_message(app.get_name() + ": " + (text.empty() ? "failed" : text));
    return 1;
  }
  return interrupt_status();
}

void write_now(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

void print_message(const std::string& text) { write_now(text + "\n"); }

void print_result(const std::string& text) {
  bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fputc('\n', stdout) != EOF;
  written = written && std::fflush(stdout) == 0;
  if (!written && errno == EPIPE) throw NoReader();
  BERTIE_CHECK(written, "output", "standard output can't be written");
}

}  // namespace bertie
