// The engine's own loops, against the textbook's, at sizes of several tasks, strips, blocks and vectors.
#include "bertie/autograd/accumulate.h"

#include <gtest/gtest.h>

#include "bertie/autograd/accumulate_table.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"

namespace bertie {
namespace {

// Whole numbers, whose sums are exact in any order.
Array whole_numbers(const Shape& shape, uint64_t seed) {
  Random random(seed);
  std::vector<double> values(shape.size());
  for (double& value : values) value = static_cast<double>(random.below(2001)) - 1000;
  return Array::from(values, shape);
}

TEST(Accumulate, AddsAnArrayIntoAnother) {
  for (int64_t size : {0, 1, 17, 200'003}) {
    Array a = whole_numbers({size}, 1), b = whole_numbers({size}, 2);
    std::vector<double> expected = a.to_vector<double>();
    for (int64_t i = 0; i < size; ++i) expected[i] += b.item(i);
    add_into(a, b);
    EXPECT_EQ(a.to_vector<double>(), expected) << size;
  }
}

TEST(Accumulate, AddsRowsAtTheirPlaces) {
  for (int64_t width : {1, 127, 128, 129, 300}) {
    Array into = whole_numbers({5, width}, 1), rows = whole_numbers({7, width}, 2);
    std::vector<int64_t> ids{4, 0, 4, 4, 2, 0, 1};
    std::vector<double> expected = into.to_vector<double>();
    for (int64_t i = 0; i < 7; ++i)
      for (int64_t c = 0; c < width; ++c) expected[ids[i] * width + c] += rows.item(i * width + c);
    add_rows(into, rows, Array::from(ids));
    EXPECT_EQ(into.to_vector<double>(), expected) << width;
  }
}

// Element by element: where each belongs in the shape that was broadcast.
std::vector<double> plain_sum(const Array& x, const Shape& shape) {
  std::vector<double> result(shape.size(), 0);
  for (int64_t i = 0; i < x.size(); ++i) {
    int64_t rest = i, place = 0, stride = 1;
    for (int axis = 1; axis <= x.shape().rank(); ++axis) {
      int64_t at = rest % x.shape()[-axis];
      rest /= x.shape()[-axis];
      if (axis > shape.rank()) continue;
      if (shape[-axis] > 1) place += at * stride;
      stride *= shape[-axis];
    }
    result[place] += x.item(i);
  }
  return result;
}

TEST(Accumulate, SumsToTheShapeThatWasBroadcast) {
  struct Case {
    Shape from, to;
  };
  for (const Case& c :
       std::vector<Case>{{{3}, {3}},
                         {{3}, {}},
                         {{2, 3}, {3}},
                         {{2, 3}, {2, 1}},
                         {{2, 3, 4}, {3, 1}},
                         {{2, 3, 4}, {1, 1, 4}},
                         {{2, 3, 4, 5}, {3, 1, 5}},
                         {{4, 3, 2, 5}, {2, 1}},
                         {{2, 3, 4}, {1, 1, 1}},
                         {{0, 3}, {3}},
                         {{3, 0}, {3, 1}},
                         // Rows are added in blocks of 64, by halves; columns in strips of 256.
                         {{63, 5}, {5}},
                         {{64, 5}, {5}},
                         {{65, 257}, {257}},
                         {{129, 513}, {1, 513}},
                         {{131, 300}, {300}},
                         {{263, 3}, {3}},
                         {{3, 131, 257}, {3, 1, 257}},
                         // A row of more than 4096 is added by halves; short rows share a task.
                         {{3, 4096}, {3, 1}},
                         {{3, 4097}, {3, 1}},
                         {{5, 20'011}, {5, 1}},
                         {{300, 129}, {300, 1}},
                         {{40'009}, {1}}}) {
    Array x = whole_numbers(c.from, 3), y = sum_to_shape(x, c.to);
    EXPECT_EQ(y.shape(), c.to);
    EXPECT_EQ(y.to_vector<double>(), plain_sum(x, c.to)) << c.from.str() << " to " << c.to.str();
  }
}

TEST(Accumulate, KernelsTakeEveryElementOnce) {
  Isa best = isa();
  for (Isa instructions : available_isas()) {
    set_isa(instructions);
    for (int64_t n : {0, 1, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 1031}) {
      Array x = whole_numbers({n}, 4);
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < n; ++i) {
        sum += x.item(i);
        squares += x.item(i) * x.item(i);
      }
      EXPECT_EQ(accumulate_kernels<double>().sum(x.data<double>(), n), sum) << n;
      EXPECT_EQ(accumulate_kernels<double>().sum_of_squares(x.data<double>(), n), squares) << n;
      Array f32 = x.cast(DType::f32);
      EXPECT_EQ(accumulate_kernels<float>().sum(f32.data<float>(), n), sum) << n;
      EXPECT_EQ(accumulate_kernels<float>().sum_of_squares(f32.data<float>(), n), squares) << n;
    }
  }
  set_isa(best);
}

}  // namespace
}  // namespace bertie
