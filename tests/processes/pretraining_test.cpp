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

TEST(PretrainingTogether, HasTheLossesOfPyTorch) {
  for (DType type : {DType::f64, DType::f32}) {
    PretrainedOptions options;
    options.type = type;
    auto start = load_pretrained<BertForPreTraining>(pretraining_reference(), options);
    start.model->train();
    std::vector<double> losses, exact = losses_of_pytorch("mlm", type), nsp = losses_of_pytorch("nsp", type);
    for (size_t i = 0; i < exact.size(); ++i) exact[i] += nsp[i];
    for (const PretrainingRun::Step& step : PretrainingRun::train_model(*start.model, &everyone()))
      losses.push_back(step.loss);
    ASSERT_EQ(losses.size(), exact.size());
    EXPECT_LE(largest_difference(losses, exact), type == DType::f64 ? 1e-9 : 1e-4) << name(type);
  }
}

}  // namespace
}  // namespace bertie
