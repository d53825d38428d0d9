// The value in bf16 that a parameter keeps: rounded again where the value has changed, and only there.
#include <gtest/gtest.h>

#include <vector>

#include "bertie/autograd/tensor.h"
#include "bertie/ops/elementwise.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

std::vector<uint16_t> kept_bits(const Array& array) {
  std::vector<uint16_t> bits;
  for (int64_t i = 0; i < array.size(); ++i) bits.push_back(array.data<bfloat16>()[i].bits);
  return bits;
}

Tensor three_numbers() { return Tensor::parameter(Array::from(std::vector<float>{0.1f, 0.2f, 0.3f})); }

void write(Tensor x, int64_t index, float value) { x.mutable_array().mutable_data<float>()[index] = value; }

// Whether rounded() rounds: it writes then.
bool rounds_again(const Tensor& x) {
  uint64_t before = x.rounded().storage()->version;
  return x.rounded().storage()->version != before;
}

void expect_rounded(const Tensor& x) {
  EXPECT_EQ(kept_bits(x.rounded()), kept_bits(x.array().cast(DType::bf16)));
  EXPECT_EQ(x.rounded().shape(), x.shape());
}

TEST(Rounded, IsKeptUntilTheValueChanges) {
  Tensor x = three_numbers(), copy = x;
  const void* place = x.rounded().bytes_begin();
  expect_rounded(x);
  EXPECT_FALSE(rounds_again(x));
  EXPECT_EQ(copy.rounded().bytes_begin(), place);
  write(copy, 1, 0.7f);
  EXPECT_EQ(x.rounded().item(1), float(bfloat16(0.7f)));
  EXPECT_EQ(x.rounded().bytes_begin(), place);
  expect_rounded(x);
  EXPECT_FALSE(rounds_again(x));
  Tensor wide = Tensor::parameter(Array::from(std::vector<double>{0.1, 0.2}));
  expect_rounded(wide);
  EXPECT_FALSE(rounds_again(wide));
}

TEST(Rounded, FollowsAReplacedValue) {
  Tensor x = three_numbers();
  x.rounded();
  x.replace(Array::from(std::vector<float>{4, 5, 6}));
  expect_rounded(x);
  // Other rows of one memory, which hasn't been written to since.
  Array rows = Array::from(std::vector<float>{1, 2, 3, 4, 5, 6});
  x.replace(rows.rows(0, 3));
  expect_rounded(x);
  x.replace(rows.rows(3, 6));
  expect_rounded(x);
  EXPECT_FALSE(rounds_again(x));
}

TEST(Rounded, FollowsABoundValue) {
  Tensor x = three_numbers();
  x.rounded();
  Array block = Array::full({5}, 9, DType::f32), gradients = Array::zeros({5}, DType::f32);
  x.bind(block.rows(1, 4), gradients.rows(1, 4));
  expect_rounded(x);
  EXPECT_FALSE(rounds_again(x));
  block.mutable_data<float>()[2] = 0.7f;
  EXPECT_EQ(x.rounded().item(1), float(bfloat16(0.7f)));
  expect_rounded(x);
}

TEST(Rounded, IsKeptWhereItIsBound) {
  Tensor x = three_numbers();
  Array block = Array::full({5}, 9, DType::bf16);
  x.rounded();
  x.bind_rounded(block.rows(1, 4));
  EXPECT_EQ(x.rounded().bytes_begin(), block.rows(1, 4).bytes_begin());
  expect_rounded(x);
  EXPECT_FALSE(rounds_again(x));
  EXPECT_EQ(block.item(0), 9);
  EXPECT_EQ(block.item(4), 9);
  // Whoever writes both says so.
  write(x, 0, 2);
  block.mutable_data<bfloat16>()[1] = 2;
  uint64_t version = block.storage()->version;
  x.rounded_is_current();
  EXPECT_EQ(x.rounded().item(0), 2);
  EXPECT_EQ(block.storage()->version, version);
  write(x, 0, 3);
  EXPECT_EQ(x.rounded().item(0), 3);
}

TEST(Rounded, OfWhatIsNoParameter) {
  Tensor x = Array::from(std::vector<float>{0.1f, 0.2f});
  expect_rounded(x);
  expect_rounded(scale(three_numbers(), 0.3));
  Tensor wide = Array::from(std::vector<double>{0.1, 0.2});
  expect_rounded(wide);
  Tensor stored = x.rounded();
  EXPECT_EQ(kept_bits(stored.rounded()), kept_bits(stored.array()));
  EXPECT_NE(message_of([] { Tensor().rounded(); }), "no error");
}

TEST(Rounded, RefusesWrongPlaces) {
  Tensor x = three_numbers();
  for (const Array& place : {Array(), Array::zeros({3}, DType::f32), Array::zeros({4}, DType::bf16)})
    EXPECT_EQ(message_of([&] { x.bind_rounded(place); }),
              "[bind] the place of the rounded value must be bf16 [3]");
  Tensor constant = Array::zeros({3}, DType::f32);
  EXPECT_EQ(message_of([&] { constant.bind_rounded(Array::zeros({3}, DType::bf16)); }),
            "[parameter] this tensor is not a parameter");
  EXPECT_EQ(message_of([&] { constant.rounded_is_current(); }), "[parameter] this tensor is not a parameter");
  expect_rounded(x);
}

}  // namespace
}  // namespace bertie
