#include "apps/pretrain_options.h"

#include <gtest/gtest.h>

namespace bertie {
namespace {

TEST(PretrainOptions, TheOptimizerIsThePresetsUnlessItIsGiven) {
  PretrainOptions options;
  for (auto [preset, muon] : {std::pair{"tiny", true}, {"mini", true}, {"small", false}, {"base", false}})
    EXPECT_EQ(trains_with_muon(options, bert_preset(preset)), muon) << preset;
  options.muon = false;
  EXPECT_FALSE(trains_with_muon(options, bert_preset("tiny")));
  options.muon = true;
  EXPECT_TRUE(trains_with_muon(options, bert_preset("base")));
}

}  // namespace
}  // namespace bertie
