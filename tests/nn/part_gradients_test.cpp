#include "bertie/nn/part_gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/embedding.h"
#include "bertie/ops/loss.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"

namespace bertie {
namespace {

constexpr int64_t words = 11, width = 5, points = 36;

// The next word by the present one. The words' vectors serve twice, as embeddings and in the decoder, which
// brings gradients of rows and of all of them.
struct Tied : Module {
  explicit Tied(DType type)
      : init(Initializer::normal(0.7, 3, type)), table(words, width, init), hidden(width, width, init) {
    add_module("table", table);
    add_module("hidden", hidden);
    bias = add_parameter("bias", Array::full({words}, 0.1, type));
  }
  Initializer init;
  Embedding table;
  Linear hidden;
  Tensor bias;
};

// Parts of a step: points cuts[p] … cuts[p + 1] − 1 are those of part p.
struct Step {
  explicit Step(std::vector<int64_t> cuts, DType type = DType::f64)
      : cuts(std::move(cuts)), model(type), block(model) {
    Random random(5);
    for (int64_t i = 0; i <= points; ++i) ids.push_back(static_cast<int32_t>(random.below(words)));
  }
  int64_t parts() const { return std::ssize(cuts) - 1; }
  Tensor loss(int64_t begin, int64_t end) const {
    if (begin == end) return {};
    std::vector<int32_t> from(ids.begin() + begin, ids.begin() + end),
        to(ids.begin() + begin + 1, ids.begin() + end + 1);
    Tensor h = bertie::tanh(model.hidden.forward(model.table.forward(Array::from(from))));
    bool with_bias = !some_without_bias || begin < 4 || (begin >= 20 && begin < 30);
    Tensor logits = linear(h, model.table.weight(), with_bias ? model.bias : Tensor());
    return cross_entropy(logits, Array::from(to), {.denominator = points});
  }
  Tensor loss(int64_t part) const { return loss(cuts[part], cuts[part + 1]); }

  // By the tree's definition, from the gradient of each part in a graph of its own. None, where no part has
  // any.
  std::vector<std::optional<double>> by_definition(PartRange node) {
    auto is_f32 = block.dtype() == DType::f32;
    std::vector<std::optional<double>> sum(block.size());
    if (node.size() == 1) {
      block.zero_grad();
      if (Tensor own = loss(node.begin)) backward(own);
      for (const ParameterBlock::Segment& segment : block.segments())
        if (segment.parameter.tensor.grad())
          for (int64_t i = segment.begin; i < segment.end; ++i) sum[i] = block.gradients().item(i);
      return sum;
    }
    int64_t middle = PartTree::middle(node);
    auto left = by_definition({node.begin, middle}), right = by_definition({middle, node.end});
    for (size_t i = 0; i < sum.size(); ++i) {
      if (!left[i] || !right[i])
        sum[i] = left[i] ? left[i] : right[i];
      else
        sum[i] = is_f32 ? static_cast<float>(*left[i]) + static_cast<float>(*right[i]) : *left[i] + *right[i];
    }
    return sum;
  }

  std::vector<double> gradients() const { return block.gradients().cast(DType::f64).to_vector<double>(); }
  // Of one who owns all parts.
  std::vector<double> all_parts(PartGradients& sums) {
    sums.begin(PartTree(parts()));
    for (int64_t part = 0; part < parts(); ++part) sums.add(part, loss(part));
    EXPECT_EQ(sums.sums().size(), 1u);
    block.check_reached("test");
    return gradients();
  }

  std::vector<int64_t> cuts;
  Tied model;
  ParameterBlock block;
  std::vector<int32_t> ids;
  bool some_without_bias = false;
};

std::vector<int64_t> even_cuts(int64_t parts) {
  std::vector<int64_t> cuts;
  for (int64_t part = 0; part <= parts; ++part) cuts.push_back(points * part / parts);
  return cuts;
}

// In parts of any sizes, some of them empty.
std::vector<std::vector<int64_t>> uneven_cuts() {
  return {{0, 0, points},
          {0, points, points, points},
          {0, 30, 30, 31, points},
          {0, 0, 0, 3, 3, 20, points, points},
          {0, 7, 7, 7, 7, 7, 7, 22, points},
          {0, 1, 2, 2, 20, 21, 22, 22, 33, points},
          {0, 0, 0, 0, 0, 0, 0, 0, 0, 5, points, points}};
}

void check_by_definition(Step& step) {
  std::vector<double> sum;
  {
    PartGradients sums(step.block);
    for (int repeat = 0; repeat < 2; ++repeat)
      sum = step.all_parts(sums);  // nothing of the step before stays
  }
  auto wanted = step.by_definition({0, step.parts()});
  for (size_t i = 0; i < sum.size(); ++i) {
    ASSERT_TRUE(wanted[i]);
    ASSERT_EQ(sum[i], *wanted[i]) << step.parts() << " parts, element " << i;
  }
}

TEST(PartGradients, AreAddedUpAsTheTreeSays) {
  for (bool some_without_bias : {false, true})
    for (DType type : {DType::f32, DType::f64}) {
      for (int64_t parts = 1; parts <= 17; ++parts) {
        Step step(even_cuts(parts), type);
        step.some_without_bias = some_without_bias;
        check_by_definition(step);
      }
      for (const std::vector<int64_t>& cuts : uneven_cuts()) {
        Step step(cuts, type);
        step.some_without_bias = some_without_bias;
        check_by_definition(step);
      }
    }
}

TEST(PartGradients, EqualTheWholeBatch) {
  Step whole({0, points});
  PartGradients one(whole.block);
  std::vector<double> exact = whole.all_parts(one);
  std::vector<std::vector<int64_t>> all = uneven_cuts();
  for (int64_t parts = 1; parts <= 12; ++parts) all.push_back(even_cuts(parts));
  for (const std::vector<int64_t>& cuts : all) {
    Step step(cuts);
    PartGradients sums(step.block);
    EXPECT_LE(largest_difference(step.all_parts(sums), exact), 1e-12 * largest(exact)) << step.parts();
  }
}

TEST(PartGradients, TakeNoMoreMemoryAfterTheFirstStep) {
  for (int64_t parts : {1, 3, 7, 8}) {
    Step step(even_cuts(parts));
    int64_t before = memory_counters().live_bytes, bytes = step.block.gradients().bytes();
    PartGradients sums(step.block);
    for (int repeat = 0; repeat < 3; ++repeat) {
      step.all_parts(sums);
      EXPECT_NEAR(static_cast<double>(memory_counters().live_bytes - before),
                  static_cast<double>((places_for(parts) - 1) * bytes), 64 * static_cast<double>(parts));
    }
  }
}

TEST(PartGradients, TellWhenAGradientIsFinal) {
  Step step(even_cuts(4));
  PartGradients sums(step.block);
  sums.begin(PartTree(4));
  int64_t told = 0;
  BackwardHooks hooks;
  hooks.on_final_gradient = [&](const Tensor&) { ++told; };
  for (int64_t part = 0; part < 4; ++part) sums.add(part, step.loss(part), hooks);
  EXPECT_EQ(told, 4 * std::ssize(step.block.segments()));
}

TEST(PartGradients, AreLeftInTheBlock) {
  Step step(even_cuts(3));
  std::vector<double> sum;
  {
    PartGradients sums(step.block);
    sum = step.all_parts(sums);
    EXPECT_EQ(message_of([&] { sums.add(3, step.loss(0)); }),
              "[part_tree] no node of 3 parts is over 3 to 4");
    sums.begin(PartTree(2));
    EXPECT_NE(message_of([&] { step.block.check_reached("test"); }), "no error");
    sum = step.all_parts(sums);
  }
  EXPECT_EQ(step.gradients(), sum);
  backward(step.loss(0));  // onto them
  EXPECT_GT(largest_difference(step.gradients(), sum), 0);
}

}  // namespace
}  // namespace bertie
