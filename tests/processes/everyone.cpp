#include "tests/processes/everyone.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace bertie {
namespace {

std::unique_ptr<Processes> all;

// What fails in a process that is not the first.
class Failures : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed())
      fmt::print(stderr, "{}: {}:{}: {}\n", everyone().name(), result.file_name() ? result.file_name() : "",
                 result.line_number(), result.message());
  }
};

// What lost_processes_test.sh asks for, instead of tests.
void act(const std::string& what) {
  bool is_last = everyone().rank() + 1 == everyone().count();
  everyone().gather("before");
  if (what == "--last-stops" && is_last) std::raise(SIGSTOP);  // as on a machine that vanishes
  if (what == "--last-ends-all" && is_last) everyone().end_all();
  // Longer than any may wait for another.
  auto work = [] { std::this_thread::sleep_for(std::chrono::seconds(7)); };
  if (what == "--last-works")
    everyone().let_each([&] {
      if (is_last) work();
    });
  if (what == "--first-works") everyone().let_first(work);
  everyone().gather("after");
}

}  // namespace

Processes& everyone() { return *all; }

}  // namespace bertie

#ifdef BERTIE_SANITIZE
// Plugins of MPI stay loaded: of others the leak sanitizer doesn't know that leaks_of_mpi.txt names them.
extern "C" int dlclose(void*) { return 0; }
#endif

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string what = argc > 1 ? argv[1] : "";
  try {
    bertie::all = bertie::join_processes(what.empty() ? 60 : 5);
  } catch (const bertie::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  if (!what.empty()) {
    bertie::act(what);
    bertie::all.reset();
    return 0;
  }
  if (!bertie::everyone().is_first()) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new bertie::Failures);
  }
  int failed = RUN_ALL_TESTS();
  for (const std::string& text : bertie::everyone().gather(std::to_string(failed))) failed |= text != "0";
  bertie::all.reset();
  return failed;
}
