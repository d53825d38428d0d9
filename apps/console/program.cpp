#include "apps/console/program.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <new>
#include <system_error>
#include <thread>

#include "apps/console/memory_limits.h"
#include "apps/console/options.h"
#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/autograd/version.h"
#include "bertie/ops/gemm.h"

namespace bertie {
namespace {

// Nobody reads standard output any more, as behind `| head`.
struct NoReader : std::exception {
  const char* what() const noexcept override { return "nobody reads standard output any more"; }
};

bool silent = false;

void write_always(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  rest_waiting_threads(
      argv, choose_openblas_kernels());  // perhaps by starting anew: nothing with an effect may come before
  int threads = 0;
  app.add_option("--threads", threads, "Threads to compute with (default: one per processor)")
      ->transform(integer_in(1, most_threads));
  app.set_version_flag("--version", fmt::format("{} (bertie) {}", app.get_name(), version()),
                       "Print the version and exit");
  try {
    if (std::optional<int> status = parse_options(app, argc, argv)) return *status;
    watch_signals();
    if (threads > 0) set_thread_count(threads);
    reserve_gemm_buffers();
    gemm_backend(DType::f32, 1, 1, 1);  // throws, now rather than later, where BERTIE_GEMM names none
    if (std::string advice = gemm_advice(); !advice.empty()) print_message(advice);
    body();
    if (std::fflush(stdout) != 0) fail("output", "standard output can't be written");
  } catch (const NoReader&) {  // ends as other tools do, quietly
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    return 128 + SIGPIPE;
  } catch (const AlreadyTold&) {
    return 1;
  } catch (const std::exception& error) {
    tell_error_after_first(app.get_name(), text_of(error));
    return 1;
  }
  return interrupt_status();
}

void be_silent() { silent = true; }

std::string text_of(const std::exception& error) {
  std::string text = error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error)) text = "[memory] the system has none left";
  if (const auto* system = dynamic_cast<const std::system_error*>(&error);
      system && system->code() == std::errc::resource_unavailable_try_again)
    text = "[memory] the system can't start another thread";
  if (text.starts_with("[memory]")) text += ": " + smallest_memory_limit().str();
  return text.empty() ? "failed" : text;
}

void tell_error(const std::string& program, const std::string& text) {
  write_always(program + ": " + text + "\n");
}

void tell_error_after_first(const std::string& program, const std::string& text) {
  if (silent) std::this_thread::sleep_for(std::chrono::seconds(2));
  tell_error(program, text);
}

void write_now(const std::string& text) {
  if (!silent) write_always(text);
}

void print_message(const std::string& text) { write_now(text + "\n"); }

void print_result(const std::string& text) {
  if (silent) return;
  bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fputc('\n', stdout) != EOF;
  written = written && std::fflush(stdout) == 0;
  if (!written && errno == EPIPE) throw NoReader();
  BERTIE_CHECK(written, "output", "standard output can't be written");
}

}  // namespace bertie
