#include "bertie/nn/processes.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace bertie {
namespace {

struct Launchers : testing::Test {
  static constexpr const char* variables[] = {
      "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "PMIX_RANK",
      "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};
  Launchers() { forget(); }
  ~Launchers() override { forget(); }
  static void forget() {
    for (const char* variable : variables) unsetenv(variable);
  }
};

void expect_launched(int rank, int count, bool by_launcher) {
  Launched found = launched();
  EXPECT_EQ(found.rank, rank);
  EXPECT_EQ(found.count, count);
  EXPECT_EQ(found.by_launcher, by_launcher);
}

TEST_F(Launchers, AreKnownByTheirVariables) {
  for (auto [rank, count] :
       {std::pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), std::pair("PMI_RANK", "PMI_SIZE"),
        std::pair("PMIX_RANK", "SLURM_STEP_NUM_TASKS")}) {
    setenv(rank, "2", 1);
    expect_launched(0, 1, false);  // one alone says nothing
    setenv(count, "8", 1);
    expect_launched(2, 8, true);
    forget();
  }
}

TEST_F(Launchers, WithinSlurmMpirunIsTheOne) {
  setenv("SLURM_STEP_NUM_TASKS", "2", 1);
  setenv("SLURM_NTASKS", "2", 1);
  expect_launched(0, 1, false);  // of a batch script
  setenv("PMIX_RANK", "1", 1);
  setenv("OMPI_COMM_WORLD_RANK", "3", 1);
  setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
  expect_launched(3, 4, true);
}

TEST_F(Launchers, SayNumbers) {
  for (const char* wrong : {"", "x", "-1", "1x", "99999999999"}) {
    setenv("PMI_RANK", wrong, 1);
    setenv("PMI_SIZE", "4", 1);
    expect_launched(0, 1, false);
  }
}

TEST_F(Launchers, AreNotNeeded) {
  std::unique_ptr<Processes> alone = join_processes();
  EXPECT_EQ(alone->count(), 1);
  EXPECT_TRUE(alone->is_first());
  EXPECT_EQ(alone->gather("mine"), std::vector<std::string>{"mine"});
  int worked = 0;
  alone->let_first([&] { ++worked; });
  EXPECT_EQ(worked, 1);
}

}  // namespace
}  // namespace bertie
