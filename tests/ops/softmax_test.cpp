// The largest of a row is taken off before exp(), wherever in the row it stands: else it overflows.
#include "bertie/ops/softmax.h"

#include <gtest/gtest.h>

#include "bertie/autograd/isa.h"
#include "bertie/ops/attention.h"
#include "bertie/ops/loss.h"

namespace bertie {
namespace {

template <class Check>
void on_each_instruction_set(Check check) {
  Isa best = isa();
  for (Isa instructions : available_isas()) {
    set_isa(instructions);
    check();
  }
  set_isa(best);
}

TEST(Softmax, TheLargestMayStandAnywhere) {
  on_each_instruction_set([] {
    for (int64_t n : {1, 15, 33, 70, 131}) {
      for (int64_t at = 0; at < n; ++at) {
        std::vector<float> x(n, -1000), one(n, 0), logarithms(n, -2000);
        x[at] = 1000, one[at] = 1, logarithms[at] = 0;
        Array row = Array::from(x, {1, n});
        EXPECT_EQ(softmax(row).array().to_vector<float>(), one) << n << " " << at;
        EXPECT_EQ(log_softmax(row).array().to_vector<float>(), logarithms) << n << " " << at;
        EXPECT_EQ(cross_entropy(row, Array::from(std::vector<int64_t>{at})).item(), 0) << n << " " << at;
      }
    }
  });
}

// One key has the large score, so that each output is its value.
TEST(Softmax, TheLargestScoreMayStandAnywhere) {
  on_each_instruction_set([] {
    for (int64_t S : {5, 17, 37, 70}) {
      for (int64_t at = 0; at < S; ++at) {
        std::vector<float> qkv;
        for (int64_t i = 0; i < S; ++i)
          for (float value : {1.0f, i == at ? 1000.0f : 0.0f, static_cast<float>(i)}) qkv.push_back(value);
        std::vector<float> expected(S, static_cast<float>(at));
        EXPECT_EQ(attention(Array::from(qkv, {S, 3}), {{0, S}}, 1).array().to_vector<float>(), expected)
            << S << " " << at;
      }
    }
  });
}

}  // namespace
}  // namespace bertie
