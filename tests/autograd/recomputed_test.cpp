// Values that aren't kept for the backward pass: the same gradients, of less memory.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/autograd/threads.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layer_norm.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"
#include "tests/autograd/parameter.h"
#include "tests/message_of.h"
#include "tests/numbers.h"

namespace bertie {
namespace {

Array random_array(const Shape& shape, DType type, uint64_t seed) {
  Random random(seed);
  std::vector<double> values(static_cast<size_t>(shape.size()));
  for (double& value : values) value = random.normal();
  return Array::from(values, shape).cast(type);
}

// y = x, by an operation that counts how often it is asked for y again.
Tensor counted(const Tensor& x, int& count) {
  auto same = [](Array dy, const Needs&) -> Gradients { return {dy}; };
  return record("counted", x.array().clone(), {x}, same, [saved = x.saved(), &count] {
    ++count;
    return saved.array().clone();
  });
}

// A narrow input, a wide middle: W₂ gelu(W₁ norm(x) + b₁) + norm(x), as in a layer of BERT.
struct Block {
  explicit Block(DType type)
      : type(type),
        x(parameter({rows, width}, 1)),
        weight(parameter({width}, 2)),
        bias(parameter({width}, 3)),
        W1(parameter({inner, width}, 4)),
        b1(parameter({inner}, 5)),
        W2(parameter({width, inner}, 6)) {}

  Tensor forward(bool recomputes) {
    auto result = [=](const Tensor& y) { return recomputes ? recomputed(y) : y; };
    Tensor h = result(layer_norm(cast(x, type), weight, bias, 1e-12));
    return linear(result(linear(h, W1, b1)), W2, {}, InputFunction::gelu) + h;
  }
  Tensor parameter(const Shape& shape, uint64_t seed) const {
    return Tensor::parameter(random_array(shape, compute_type(type), seed));
  }
  // Of all parameters, one after the other.
  std::vector<double> gradients() {
    std::vector<double> all;
    for (Tensor* each : {&x, &weight, &bias, &W1, &b1, &W2}) {
      std::vector<double> own = numbers(each->grad());
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  }

  static constexpr int64_t rows = 70, width = 48, inner = 160;
  DType type;
  Tensor x, weight, bias, W1, b1, W2;
};

const std::vector<DType> all_types{DType::f64, DType::f32, DType::bf16};

TEST(Recomputed, ChangesNoBit) {
  int before = thread_count();
  for (DType type : all_types)
    for (int threads : {1, 3}) {
      SCOPED_TRACE(fmt::format("{}, {} threads", name(type), threads));
      set_thread_count(threads);
      Block kept(type), leaner(type);
      Array dy = random_array({Block::rows, Block::width}, type, 7);
      Tensor y = kept.forward(false), same = leaner.forward(true);
      EXPECT_EQ(numbers(y.array()), numbers(same.array()));
      backward(y, dy);
      backward(same, dy);
      EXPECT_EQ(kept.gradients(), leaner.gradients());
    }
  set_thread_count(before);
}

TEST(Recomputed, KeepsNeitherOfTwoValuesThatFollowEachOther) {
  for (DType type : all_types) {
    SCOPED_TRACE(name(type));
    Block block(type);
    auto kept_bytes = [&](bool recomputes) {
      int64_t before = memory_counters().live_bytes;
      Tensor y = block.forward(recomputes);
      return memory_counters().live_bytes - before;
    };
    kept_bytes(false);  // rounds the weights
    int64_t size = element_size(type);
    EXPECT_EQ(kept_bytes(false) - kept_bytes(true), Block::rows * (Block::width + Block::inner) * size);
  }
}

TEST(Recomputed, IsComputedOnceForEachOfItsUses) {
  int count = 0, later = 0;
  Tensor x = Tensor::parameter(random_array({3, 4}, DType::f64, 1)),
         W = Tensor::parameter(random_array({5, 4}, DType::f64, 2));
  Tensor first = recomputed(counted(x, count)), second = recomputed(counted(first, later));
  Tensor y = linear(first, W) + linear(second, W);
  EXPECT_EQ(count + later, 0);
  backward(y, random_array({3, 5}, DType::f64, 3));
  EXPECT_EQ(later, 1);
  EXPECT_EQ(count, 2);  // the second is computed from the first
}

TEST(Recomputed, IsNotComputedForAGradientThatNobodyWants) {
  int count = 0;
  Tensor x = Tensor::parameter(random_array({3, 4}, DType::f64, 1));
  Tensor y = linear(recomputed(counted(x, count)), random_array({5, 4}, DType::f64, 2));
  backward(y, random_array({3, 5}, DType::f64, 3));
  EXPECT_EQ(count, 0);
}

// An operation that takes the array has it, and no other.
TEST(Recomputed, IsKeptByOperationsThatTakeArrays) {
  int count = 0;
  Tensor x = parameter({1, 2, 3}), y = recomputed(counted(x, count));
  backward(multiply(y, y), Array::from(std::vector<double>{1, 1, 1}));
  EXPECT_EQ(grad(x), (std::vector<double>{2, 4, 6}));
  EXPECT_EQ(count, 0);
}

TEST(Recomputed, IsKeptWhereNothingSaysHowOrWhatFor) {
  int count = 0;
  Tensor x = parameter({1, 2, 3});
  auto is_kept = [](const Tensor& y) {
    return recomputed(y).saved().array().bytes_begin() == y.array().bytes_begin();
  };
  EXPECT_FALSE(is_kept(counted(x, count)));
  EXPECT_EQ(count, 1);
  EXPECT_TRUE(is_kept(gelu(x)));
  EXPECT_TRUE(is_kept(x));
  EXPECT_TRUE(is_kept(counted(x.array(), count)));  // a constant
  {
    NoGrad guard;
    EXPECT_TRUE(is_kept(counted(x, count)));
  }
  {
    KeepValues guard;
    EXPECT_TRUE(is_kept(counted(x, count)));
  }
  EXPECT_EQ(count, 1);
}

TEST(Recomputed, OfAChangedParameterIsAnError) {
  auto error_after = [](const std::function<void(Block&)>& change) {
    Block block(DType::bf16);
    Tensor y = block.forward(true);
    change(block);
    return message_of([&] { backward(y, random_array(y.shape(), DType::bf16, 7)); });
  };
  EXPECT_EQ(error_after([](Block& block) { block.W1.mutable_array().fill_zero(); }),
            "[backward] input 1 of 'linear' was changed in place after its use");
  EXPECT_EQ(error_after([](Block& block) { block.b1.mutable_array().fill_zero(); }),
            "[backward] input 2 of 'linear' was changed in place after its use");
  EXPECT_EQ(error_after([](Block& block) { block.bias.mutable_array().fill_zero(); }),
            "[backward] input 2 of 'layer_norm' was changed in place after its use");
}

// A value of then, as that of an array would be.
TEST(Recomputed, KnowsNothingOfAValueThatCameLater) {
  Block kept(DType::f32), leaner(DType::f32);
  Array dy = random_array({Block::rows, Block::width}, DType::f32, 7);
  Tensor y = kept.forward(false), same = leaner.forward(true);
  for (Tensor* each : {&leaner.weight, &leaner.bias, &leaner.W1, &leaner.b1})
    each->replace(Array::full(each->shape(), 9, DType::f32));
  backward(y, dy);
  backward(same, dy);
  EXPECT_EQ(kept.gradients(), leaner.gradients());
}

TEST(Recomputed, IsToldByExplainAsAnyOther) {
  auto told = [](bool recomputes, bool keeps) {
    Block block(DType::f64);
    std::optional<KeepValues> guard;
    if (keeps) guard.emplace();
    return explain(sum(block.forward(recomputes)));
  };
  EXPECT_EQ(told(true, false), told(false, false));
  EXPECT_EQ(told(true, true), told(false, true));
}

TEST(Saved, IsGivenUpOnce) {
  Saved saved(Array::zeros({3}, DType::f32));
  EXPECT_FALSE(saved.array().unique());
  Array array = saved.take();
  EXPECT_TRUE(array.unique());
  EXPECT_FALSE(saved.array());
}

}  // namespace
}  // namespace bertie
