// Fine-tuning for each task against transformers: tests/models/reference/make_finetuning_reference.py.
#include <gtest/gtest.h>

#include "bertie/data/files/safetensors.h"
#include "tests/largest.h"
#include "tests/models/finetuning_run.h"

namespace bertie {
namespace {

const std::string finetuning_data = std::string(BERTIE_SOURCE_DIR) + "/tests/models/reference/finetuning";

const Array& of(const Safetensors& file, const std::string& name) {
  const Array* found = file.find(name);
  if (!found) throw Error(file.path + " has no " + name);
  return *found;
}

// What transformers trained on are the data and the batches of today.
TEST(FinetuningReference, TheBatchesAreThoseOfTheReference) {
  Safetensors file = read_safetensors(finetuning_data + "/data.safetensors");
  auto same = [&](const std::string& name, const Array& array) {
    const Array& exact = of(file, name);
    ASSERT_EQ(array.dtype(), exact.dtype()) << name;
    ASSERT_EQ(array.shape(), exact.shape()) << name;
    for (int64_t i = 0; i < array.size(); ++i) ASSERT_EQ(array.item(i), exact.item(i)) << name;
  };
  for (const std::string& task : FinetuningRun::tasks()) {
    TaskSequences data = FinetuningRun::data(task);
    same(task + ".ids", Array::from(data.ids));
    same(task + ".offsets", Array::from(data.offsets));
    same(task + ".second_begins", Array::from(data.second_begins));
    same(task + ".labels", data.labels);
  }
  TaskSteps steps(FinetuningRun::sequences, FinetuningRun::batch_size, FinetuningRun::seed);
  std::vector<int64_t> order;
  for (int64_t step = 0; step < FinetuningRun::steps; ++step) {
    for (int64_t sequence : steps.sequences(step)) order.push_back(sequence);
    EXPECT_EQ(of(file, "step_offsets").item(step + 1), order.size());
  }
  same("order", Array::from(order));
}

TEST(FinetuningReference, TrainsAsTransformersDoes) {
  Safetensors file = read_safetensors(finetuning_data + "/losses.safetensors");
  for (const std::string& task : FinetuningRun::tasks()) {
    for (DType type : {DType::f64, DType::f32}) {
      std::vector<double> losses = FinetuningRun::losses(finetuning_data, task, type);
      std::vector<double> exact =
          of(file, fmt::format("{}.{}", task, name(type))).cast(DType::f64).to_vector<double>();
      ASSERT_EQ(losses.size(), 30u);
      EXPECT_LE(largest_difference(losses, exact), type == DType::f64 ? 1e-9 : 1e-4)
          << task << " in " << name(type);
      EXPECT_LT(losses.back(), 0.96 * losses.front()) << task;  // the run learns something
    }
  }
}

}  // namespace
}  // namespace bertie
