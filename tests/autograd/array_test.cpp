#include "bertie/autograd/array.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(Array, HalfPrecisionIsRead) {
  uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7c00, 0x03ff, 0x3555};
  Array array =
      Array::wrap(static_cast<const void*>(half), {6}, DType::f16, std::make_shared<int>(0)).cast(DType::f64);
  EXPECT_EQ(array.item(0), 1);
  EXPECT_EQ(array.item(1), -2);
  EXPECT_EQ(array.item(2), 0x1p-24);
  EXPECT_TRUE(std::isinf(array.item(3)));
  EXPECT_EQ(array.item(4), 1023 * 0x1p-24);
  EXPECT_EQ(array.item(5), 0.333251953125);
}

TEST(Array, ViewsOfViewsCountFromWhereTheyBegin) {
  std::vector<double> values;
  for (int i = 0; i < 24; ++i) values.push_back(i);
  Array x = Array::from(values, {6, 4});
  EXPECT_EQ(x.rows(2, 5).rows(1, 2).to_vector<double>(), (std::vector<double>{12, 13, 14, 15}));
  EXPECT_EQ(x.rows(2, 5).flat(3, {2}).to_vector<double>(), (std::vector<double>{11, 12}));
  EXPECT_EQ(x.flat(8, {4, 4}).reshape({2, 8}).rows(1, 2).item(7), 23);
  EXPECT_EQ(x.rows(3, 4).cast(DType::i64).to_vector<int64_t>(), (std::vector<int64_t>{12, 13, 14, 15}));
  EXPECT_EQ(x.rows(3, 4).clone().to_vector<double>(), (std::vector<double>{12, 13, 14, 15}));
  x.rows(1, 2).fill_zero();
  EXPECT_EQ(x.item(3), 3);
  EXPECT_EQ(x.item(4), 0);
  EXPECT_EQ(x.item(7), 0);
  EXPECT_EQ(x.item(8), 8);
}

TEST(Array, CastsEachElement) {
  std::vector<int32_t> values(150'001);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i * 7919 % 100'003);
  Array x = Array::from(values);
  std::vector<double> expected(values.begin(), values.end());
  EXPECT_EQ(x.cast(DType::f64).to_vector<double>(), expected);
  EXPECT_EQ(x.cast(DType::f32).cast(DType::i32).to_vector<int32_t>(), values);
}

// Whatever makes a shape: the constructors, another extent, a broadcast.
TEST(Shape, NeverHasMoreElementsThanCanBeCounted) {
  constexpr int64_t large = int64_t{1} << 31, half = int64_t{1} << 28, huge = int64_t{1} << 55;
  EXPECT_EQ(Shape({huge, 1}).size(), huge);
  EXPECT_EQ(Shape({half, half - 1}).size(), half * (half - 1));
  EXPECT_EQ(message_of([&] {
              Shape({half, half});
            }),
            "[shape] too many elements at axis 1 of extent 268435456");
  // Also a part of a shape without elements.
  EXPECT_EQ(Shape({0, huge}).size(), 0);
  EXPECT_EQ(message_of([&] {
              Shape({0, large, large});
            }),
            "[shape] too many elements at axis 2 of extent 2147483648");
  EXPECT_EQ(Shape({2, 3, 4}).with(1, 7), (Shape{2, 7, 4}));
  EXPECT_EQ(Shape({2, 3, 4}).with(-1, 0), (Shape{2, 3, 0}));
  EXPECT_EQ(message_of([&] {
              Shape({large, 1}).with(1, large);
            }),
            "[shape] too many elements at axis 1 of extent 2147483648");
  EXPECT_EQ(message_of([&] { Shape({2}).with(0, -1); }), "[shape] an extent can't be negative: axis 0 is -1");
  EXPECT_EQ(message_of([&] { Shape({2}).with(1, 1); }), "[shape] axis 1 is out of range for 1 axes");
  EXPECT_EQ(message_of([&] {
              Shape({large, 1}).push_back(large);
            }),
            "[shape] too many elements at axis 2 of extent 2147483648");
  EXPECT_EQ(message_of([&] {
              broadcast("add", {large, 1}, {1, large});
            }),
            "[add] too many elements at axis 1 of extent 2147483648");
}

TEST(Shape, BroadcastsAsNumpyDoes) {
  auto of = [](const Shape& a, const Shape& b) {
    EXPECT_EQ(broadcast("test", a, b), broadcast("test", b, a));
    return broadcast("test", a, b);
  };
  EXPECT_EQ(of({3, 1}, {1, 4}), (Shape{3, 4}));
  EXPECT_EQ(of({2, 1, 4}, {3, 1}), (Shape{2, 3, 4}));
  EXPECT_EQ(of({}, {2, 3}), (Shape{2, 3}));
  EXPECT_EQ(of({0, 3}, {1, 3}), (Shape{0, 3}));
  EXPECT_EQ(message_of([] {
              broadcast("test", {2, 3}, {2, 1, 2});
            }),
            "[test] shapes must agree or be 1 at each axis: a is [2, 3], b is [2, 1, 2]");
}

TEST(Array, RefusesWrongUse) {
  Array array = Array::zeros({2, 3}, DType::f32);
  EXPECT_EQ(message_of([&] { array.data<double>(); }), "[array] the elements are f32, not f64");
  EXPECT_EQ(message_of([&] { array.rows(1, 3); }), "[rows] rows 1 … 3 are not within shape [2, 3]");
  EXPECT_EQ(message_of([&] { array.reshape({4}); }),
            "[reshape] the number of elements must stay: from [2, 3] to [4]");
  EXPECT_EQ(message_of([&] { array.item(6); }), "[array] element 6 is out of range for shape [2, 3]");
  EXPECT_EQ(message_of([&] { Array().data<float>(); }), "[array] there is no array here");
  EXPECT_EQ(message_of([&] {
              Array::zeros({int64_t{1} << 40, int64_t{1} << 40}, DType::f32);
            }),
            "[shape] too many elements at axis 1 of extent 1099511627776");
}

TEST(Array, GivesItsMemoryOnlyWhereNobodyElseHoldsIt) {
  Array x = Array::full({2}, 7, DType::f64);
  const void* memory = x.bytes_begin();
  std::weak_ptr<Storage> storage = x.storage();
  Array y = x.take_memory();
  EXPECT_FALSE(x);
  EXPECT_TRUE(storage.expired());  // so that nobody takes a later change for one of the old array
  EXPECT_EQ(y.bytes_begin(), memory);
  EXPECT_EQ(y.to_vector<double>(), (std::vector<double>{7, 7}));
  Array held = y;
  EXPECT_EQ(message_of([&] { y.take_memory(); }), "[array] only memory that nobody else holds can be taken");
}

}  // namespace
}  // namespace bertie
