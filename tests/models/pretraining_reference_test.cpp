// MLM + NSP against PyTorch: tests/models/reference/make_pretraining_reference.py.
#include <gtest/gtest.h>

#include "bertie/autograd/threads.h"
#include "bertie/models/pretrained.h"
#include "tests/largest.h"
#include "tests/models/pretraining_reference.h"
#include "tests/models/pretraining_run.h"

namespace bertie {
namespace {

// What PyTorch trained on are the batches that are made today.
TEST(PretrainingReference, TheBatchesAreThoseOfTheReference) {
  Safetensors file = read_safetensors(pretraining_reference() + "/batches.safetensors");
  Vocabulary words = PretrainingRun::vocabulary();
  PairBatches source = PretrainingRun::batches(words);
  BatchStream stream(source);
  for (int64_t step = 0; step < PretrainingRun::muon_steps; ++step) {
    MaskedBatch batch = stream.next();
    auto same = [&](const std::string& name, const Array& array) {
      const Array& exact = array_of(file, fmt::format("{}.{}", step, name));
      ASSERT_EQ(array.dtype(), exact.dtype());
      ASSERT_EQ(array.shape(), exact.shape()) << name;
      for (int64_t i = 0; i < array.size(); ++i) ASSERT_EQ(array.item(i), exact.item(i)) << name;
    };
    same("ids", batch.tokens.ids);
    same("token_type_ids", batch.tokens.token_type_ids);
    same("offsets", Array::from(batch.tokens.offsets));
    same("scored_rows", batch.scored_rows);
    same("labels", batch.labels);
    same("next_sentence_labels", batch.next_sentence_labels);
  }
}

void expect_losses_of_pytorch(bool muon) {
  for (DType type : {DType::f64, DType::f32}) {
    PretrainedOptions options;
    options.type = type;
    auto start = load_pretrained<BertForPreTraining>(pretraining_reference(), options);
    start.model->train();
    std::vector<double> mlm, nsp;
    for (const auto& [sums, loss] : PretrainingRun::train_model(*start.model, nullptr, muon)) {
      mlm.push_back(sums.mlm_loss / static_cast<double>(sums.scored));
      nsp.push_back(sums.nsp_loss / static_cast<double>(sums.pairs));
      EXPECT_NEAR(loss, mlm.back() + nsp.back(), 1e-6);
    }
    double allowed = type == DType::f64 ? 1e-9 : 1e-4;
    for (auto [head, losses] : {std::pair("mlm", mlm), std::pair("nsp", nsp)}) {
      std::vector<double> exact = losses_of_pytorch(head, type, muon);
      ASSERT_EQ(losses.size(), exact.size());
      EXPECT_LE(largest_difference(losses, exact), allowed) << head << " in " << name(type);
    }
    EXPECT_GT(mlm.front() - mlm.back(), 0.3);  // the run learns something
  }
}

TEST(PretrainingReference, TrainsAsPyTorchDoes) { expect_losses_of_pytorch(false); }
TEST(PretrainingReference, TrainsWithMuonAsPyTorchDoes) { expect_losses_of_pytorch(true); }

// However many threads compute it.
TEST(PretrainingReference, TrainsWithMuonToTheSameBitsOnAnyNumberOfThreads) {
  int threads = thread_count();
  std::vector<double> losses;
  for (int count : {1, 2, 3}) {
    set_thread_count(count);
    auto start = load_pretrained<BertForPreTraining>(pretraining_reference());
    start.model->train();
    std::vector<double> of_this;
    for (const PretrainingRun::Step& step : PretrainingRun::train_model(*start.model, nullptr, true))
      of_this.push_back(step.loss);
    if (count == 1) losses = of_this;
    EXPECT_EQ(of_this, losses) << count;
  }
  set_thread_count(threads);
}

}  // namespace
}  // namespace bertie
