#include "bertie/models/bert.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/models/bert_heads.h"
#include "bertie/models/mlm_evaluation.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/training.h"
#include "tests/message_of.h"
#include "tests/models/small_config.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

TEST(Bert, RefusesWrongInput) {
  BertForMaskedLM model(small_config(12), Initializer::unset());
  auto message = [&](std::vector<int32_t> ids, std::vector<int64_t> offsets) {
    return message_of([&] {
      model.logits({Array::from(ids), Array(), {{offsets}}}, Array::from(std::vector<int32_t>{0}));
    });
  };
  EXPECT_EQ(message({5, 12}, {0, 2}), "[embedding] ids must be in 0 … 11: id 12 at position 1");
  EXPECT_EQ(message({5, 6}, {0, 3}),
            "[bert] offsets must end at the number of tokens: 2 tokens, last offset 3");
  EXPECT_EQ(message({5, 6, 7}, {0, 2, 1, 3}), "[bert] offsets must not fall: 1 follows 2 at 2");
  EXPECT_EQ(message(std::vector<int32_t>(17, 5), {0, 17}),
            "[bert] sequence 0 has 17 tokens; max_position_embeddings is 16");
}

TEST(Bert, PoolsTheFirstTokenOfEachSequence) {
  Initializer init = Initializer::normal(0.3, 3, DType::f64);
  BertModel model(small_config(12), init);
  Packing packing{{0, 2, 5}};
  Tensor hidden =
      model.last_hidden_state({Array::from(std::vector<int32_t>{5, 6, 7, 8, 9}), Array(), {packing}});
  Tensor pooled = model.pooler_output(hidden, packing);
  ASSERT_EQ(pooled.shape(), (Shape{2, 32}));
  std::vector<Parameter> parameters = model.parameters();
  const Parameter& weight = parameters[parameters.size() - 2];
  ASSERT_EQ(weight.names[0], "pooler.dense.weight");
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t i = 0; i < 32; ++i) {
      double sum = parameters.back().tensor.array().item(i);
      for (int64_t k = 0; k < 32; ++k)
        sum += weight.tensor.array().item(i * 32 + k) * hidden.array().item(packing.offsets[n] * 32 + k);
      EXPECT_NEAR(pooled.array().item(n * 32 + i), std::tanh(sum), 1e-12);
    }
  }
  EXPECT_EQ(message_of([&] {
              model.pooler_output(hidden, {{0, 0, 5}});
            }),
            "[pooler] sequence 0 is empty: it has no first token");
}

// Dropout, ragged batches, clipping: the same bytes on any number of threads.
TEST(Training, GivesTheSameBitsOnAnyNumberOfThreads) {
  TemporaryFolder folder;
  int threads = thread_count();
  std::vector<std::string> files;
  for (int count : {1, 2, 3}) {
    set_thread_count(count);
    BertConfig config = small_config(600);  // large enough that products are cut into tiles
    config.hidden_size = config.intermediate_size = 384;
    config.num_attention_heads = 6;
    config.num_hidden_layers = 1;
    config.max_position_embeddings = 128;
    BertForMaskedLM model(config, Initializer::normal(0.05, 3));
    ParameterBlock parameters(model);
    AdamW optimizer(parameters, {});
    TrainingOptions options;
    options.steps = 3;
    options.schedule = {1e-3, 0, 3};
    Random random(5);
    train(
        parameters, optimizer, options,
        [&](int64_t step) {
          Packing packing;
          std::vector<int32_t> ids;
          std::vector<int64_t> rows;
          std::vector<int32_t> labels;
          for (int n = 0; n < 5; ++n) {
            for (uint64_t length = 20 + random.below(100); length > 0; --length)
              ids.push_back(static_cast<int32_t>(random.below(600)));
            packing.offsets.push_back(static_cast<int64_t>(ids.size()));
          }
          for (int64_t row = 3; row < packing.tokens(); row += 7) {
            rows.push_back(row);
            labels.push_back(static_cast<int32_t>(random.below(600)));
          }
          Pass pass{packing, 9, static_cast<uint64_t>(step)};
          return model.loss(model.logits({Array::from(ids), Array(), pass}, Array::from(rows)),
                            Array::from(labels));
        },
        [](const StepReport&) { return true; });
    files.push_back(folder.path() + "/" + std::to_string(count));
    save_weights(model, files.back());
  }
  set_thread_count(threads);
  EXPECT_EQ(read_file(files[0]), read_file(files[1]));
  EXPECT_EQ(read_file(files[0]), read_file(files[2]));
}

}  // namespace
}  // namespace bertie
