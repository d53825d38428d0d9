#include "bertie/models/bert_flops.h"

#include <gtest/gtest.h>

#include <vector>

namespace bertie {
namespace {

// Every product written out: x Wqkvᵀ, scores and context of each sequence, the output, the feed-forward
// layer's two; of the head, the dense layer and the decoder on 2 rows.
TEST(BertFlops, OfASmallModel) {
  BertConfig config;
  config.num_hidden_layers = 3;
  config.hidden_size = 4;
  config.intermediate_size = 10;
  config.vocab_size = 7;
  std::vector<int64_t> offsets{0, 2, 2, 5};  // 2, 0 and 3 tokens
  double layer = 2.0 * 5 * 4 * 12 + 2 * (2 * 2 * 2 * 4 + 2 * 3 * 3 * 4) + 2 * 5 * 4 * 4 + 2 * 2 * 5 * 4 * 10;
  EXPECT_EQ(encoder_flops(config, offsets), 3 * layer);
  EXPECT_EQ(mlm_training_flops(config, offsets, 2), 3 * (3 * layer + 2 * 2 * 4 * 4 + 2 * 2 * 4 * 7));
  EXPECT_EQ(product_flops(1 << 20, 1 << 20, 1 << 20), 0x1p61);  // more than 32 bits, or 53, count
}

}  // namespace
}  // namespace bertie
