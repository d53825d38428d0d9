#include "apps/console/signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "apps/console/program.h"
#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr std::pair<int, const char*> watched[] = {
    {SIGINT, "Ctrl-C"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}};

std::atomic<int> first_signal{0};
std::mutex mutex;          // of the two below
bool finishing = false;    // a FinishFirst is in scope
std::string what_happens;  // its text
pthread_t watcher;

void receive(int signal) {
  std::lock_guard lock(mutex);
  if (!finishing) _exit(128 + signal);
  int none = 0;
  bool first = first_signal.compare_exchange_strong(none, signal);
  std::string text = isatty(STDERR_FILENO) ? "\r\033[K" : "";  // in place of a progress line
  for (auto [number, name] : watched)
    if (number == signal) text += std::string(name) + ": ";
  text += first ? what_happens + "\n"
                : "already so: " + what_happens + ". Ctrl-\\ ends at once, and loses what isn't saved\n";
  write_now(text);
}

// On a thread that a library made before main().
void pass_on(int signal) { pthread_kill(watcher, signal); }

}  // namespace

// The signals are blocked on every thread that computes, and one thread waits for them, which may do what a
// handler may not.
void watch_signals() {
  static sigset_t signals;
  sigemptyset(&signals);
  struct sigaction was {};
  for (auto [number, name] : watched)
    if (number != SIGHUP || sigaction(SIGHUP, nullptr, &was) != 0 || was.sa_handler != SIG_IGN)
      sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // threads that are made later inherit it
  std::thread thread([] {
    for (int received = 0;;)
      if (sigwait(&signals, &received) == 0) receive(received);
  });
  watcher = thread.native_handle();
  thread.detach();
  struct sigaction action {};
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  for (auto [number, name] : watched)
    if (sigismember(&signals, number) == 1) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // writing past `ulimit -f` fails instead
}

FinishFirst::FinishFirst(std::string text) {
  std::lock_guard lock(mutex);
  BERTIE_CHECK(!finishing, "signals", "one FinishFirst at a time");
  finishing = true;
  what_happens = std::move(text);
}

FinishFirst::~FinishFirst() {
  std::lock_guard lock(mutex);
  finishing = false;
}

bool interrupted() { return first_signal != 0; }

int interrupt_status() { return first_signal == 0 ? 0 : 128 + first_signal; }

}  // namespace bertie
