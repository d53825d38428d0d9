#include "tests/processes/everyone.h"

#include <gtest/gtest.h>

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

}  // namespace

Processes& everyone() { return *all; }

}  // namespace bertie

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  bertie::all = bertie::join_processes(5);
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
