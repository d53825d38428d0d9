#include "apps/finetune_options.h"

#include <gtest/gtest.h>

namespace bertie {
namespace {

TEST(FinetuneOptions, LargerModelsLearnAtALowerRate) {
  const std::pair<int64_t, double> rates[] = {{64, 3e-4},  {128, 3e-4}, {256, 1e-4}, {384, 1e-4},
                                              {512, 1e-4}, {768, 2e-5}, {1024, 2e-5}};
  for (auto [hidden_size, rate] : rates) {
    BertConfig config;
    config.hidden_size = hidden_size;
    EXPECT_EQ(finetuning_rate(config), rate) << hidden_size;
  }
}

}  // namespace
}  // namespace bertie
