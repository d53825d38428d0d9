// Pooling by hand. That whole directories give what sentence-transformers makes of them is shown by
// tests/apps/sentence_modules_test.sh.
#include "bertie/models/sentence_modules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bertie/models/bert.h"
#include "tests/message_of.h"
#include "tests/models/small_config.h"

namespace bertie {
namespace {

const Packing two_sequences{{0, 3, 4}};
Array tokens() { return Array::from(std::vector<double>{1, -2, 3, 0, 5, 8, 7, -7}, {4, 2}); }

std::vector<double> pooled(const std::vector<std::string>& modes, int64_t first = 0) {
  return pool(tokens(), two_sequences, modes, first).to_vector<double>();
}

TEST(Pooling, EachModeIsItself) {
  const double root = std::sqrt(3.0);
  EXPECT_EQ(pooled({"cls"}), (std::vector<double>{1, -2, 7, -7}));
  EXPECT_EQ(pooled({"mean"}), (std::vector<double>{3, 2, 7, -7}));
  EXPECT_EQ(pooled({"max"}), (std::vector<double>{5, 8, 7, -7}));
  EXPECT_EQ(pooled({"mean_sqrt_len_tokens"}), (std::vector<double>{9 / root, 6 / root, 7, -7}));
  EXPECT_EQ(pooled({"weightedmean"}), (std::vector<double>{22.0 / 6, 22.0 / 6, 7, -7}));
  EXPECT_EQ(pooled({"lasttoken"}), (std::vector<double>{5, 8, 7, -7}));
  EXPECT_EQ(pooled({"max", "cls"}), (std::vector<double>{5, 8, 1, -2, 7, -7, 7, -7}));
}

// Without the first tokens, which are a prompt's; of a sequence that has no more its last one stays.
TEST(Pooling, ThePromptMayBeLeftOut) {
  EXPECT_EQ(pooled({"cls"}, 1), (std::vector<double>{3, 0, 7, -7}));
  EXPECT_EQ(pooled({"mean"}, 1), (std::vector<double>{4, 4, 7, -7}));
  EXPECT_EQ(pooled({"weightedmean"}, 1), (std::vector<double>{21.0 / 5, 24.0 / 5, 7, -7}));
  EXPECT_EQ(pooled({"mean"}, 9), (std::vector<double>{5, 8, 7, -7}));
}

TEST(Pooling, ANanStays) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::vector<float> x : {std::vector<float>{nan, 1}, std::vector<float>{1, nan}})
    for (std::string mode : {"max", "mean"})
      EXPECT_TRUE(std::isnan(pool(Array::from(x, {2, 1}), Packing{{0, 2}}, {mode}).item())) << mode;
}

TEST(Pooling, RowsGetLengthOne) {
  Array y = normalize_rows(Array::from(std::vector<double>{3, 4, 0, 0, -2, 0}, {3, 2}));
  EXPECT_EQ(y.to_vector<double>(), (std::vector<double>{0.6, 0.8, 0, 0, -1, 0}));
}

TEST(Pooling, RefusesWhatItCannotPool) {
  EXPECT_EQ(message_of([] { pooled({"median"}); }),
            "[pool] the mode must be of cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken, got "
            "'median'");
  EXPECT_EQ(message_of([] { pool(tokens(), Packing{{0, 4, 4}}, {"mean"}); }), "[pool] sequence 1 is empty");
  EXPECT_NE(message_of([] { pooled({}); }), "no error");
  EXPECT_NE(message_of([] { pooled({"mean"}, -1); }), "no error");
}

// hidden_states() gives the very states that hidden_state() gives one by one.
TEST(HiddenStates, AreThoseOfEachLayer) {
  Initializer init = Initializer::normal(0.2, 4);
  BertModel model(small_config(12), init, false);
  model.eval();
  BertInput input;
  input.ids = Array::from(std::vector<int32_t>{2, 5, 6, 3}, {4});
  input.pass.packing.offsets = {0, 4};
  std::vector<Tensor> states = model.hidden_states(input, 0, 2);
  ASSERT_EQ(states.size(), 3u);
  for (int64_t layer = 0; layer <= 2; ++layer)
    EXPECT_EQ(states[layer].array().to_vector<float>(),
              model.hidden_state(input, layer).array().to_vector<float>());
  EXPECT_EQ(message_of([&] { model.hidden_states(input, 2, 1); }),
            "[bert] the first layer must not be behind the last one, got 2 and 1");
  EXPECT_EQ(message_of([&] { model.hidden_states(input, 0, 3); }), "[bert] layers are 0 … 2, got 3");
}

}  // namespace
}  // namespace bertie
