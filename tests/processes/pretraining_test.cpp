// A step in four parts, shared by processes, against PyTorch, which computes the whole batch at once in one
// process.
#include <gtest/gtest.h>

#include "bertie/models/pretrained.h"
#include "tests/largest.h"
#include "tests/models/pretraining_reference.h"
#include "tests/models/pretraining_run.h"
#include "tests/processes/everyone.h"

namespace bertie {
namespace {

void expect_losses_of_pytorch_together(bool muon) {
  for (DType type : {DType::f64, DType::f32}) {
    PretrainedOptions options;
    options.type = type;
    auto start = load_pretrained<BertForPreTraining>(pretraining_reference(), options);
    start.model->train();
    std::vector<double> losses, exact = losses_of_pytorch("mlm", type, muon),
                                nsp = losses_of_pytorch("nsp", type, muon);
    for (size_t i = 0; i < exact.size(); ++i) exact[i] += nsp[i];
    for (const PretrainingRun::Step& step : PretrainingRun::train_model(*start.model, &everyone(), muon))
      losses.push_back(step.loss);
    ASSERT_EQ(losses.size(), exact.size());
    EXPECT_LE(largest_difference(losses, exact), type == DType::f64 ? 1e-9 : 1e-4) << name(type);
  }
}

TEST(PretrainingTogether, HasTheLossesOfPyTorch) { expect_losses_of_pytorch_together(false); }
TEST(PretrainingTogether, HasTheLossesOfPyTorchWithMuon) { expect_losses_of_pytorch_together(true); }

// The weights of several processes are those of one alone, bit for bit.
TEST(PretrainingTogether, WithMuonGivesTheSameBitsAsAlone) {
  auto weights_of = [](Processes* processes) {
    auto start = load_pretrained<BertForPreTraining>(pretraining_reference());
    start.model->train();
    PretrainingRun::train_model(*start.model, processes, true);
    std::vector<float> weights;
    for (const Parameter& parameter : start.model->parameters())
      for (float value : parameter.tensor.array().to_vector<float>()) weights.push_back(value);
    return weights;
  };
  EXPECT_EQ(weights_of(&everyone()), weights_of(nullptr));
}

}  // namespace
}  // namespace bertie
