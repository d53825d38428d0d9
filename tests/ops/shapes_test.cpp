// Shapes as people use them: what each operation makes of its arguments', and what becomes of no elements.
#include <gtest/gtest.h>

#include "bertie/autograd/backward.h"
#include "bertie/ops/attention.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/embedding.h"
#include "bertie/ops/layout.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"
#include "bertie/ops/softmax.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

Tensor zeros(const Shape& shape) { return Array::zeros(shape, DType::f64); }
Tensor ones(const Shape& shape) { return Tensor::parameter(Array::full(shape, 1, DType::f64)); }
Array ids(int64_t count) { return Array::zeros({count}, DType::i32); }

TEST(Shapes, OfResults) {
  struct Expected {
    const char* what;
    Shape got, wanted;
  };
  Tensor x = zeros({2, 3, 4});
  Array no = Array::zeros({3, 1, 1}, DType::boolean);
  for (const Expected& e : std::vector<Expected>{
           {"sum of all", sum(x).shape(), {}},
           {"sum of all, kept", sum(x, {{}, true}).shape(), {1, 1, 1}},
           {"sum, first", sum(x, {{0}}).shape(), {3, 4}},
           {"sum, middle", sum(x, {{-2}}).shape(), {2, 4}},
           {"sum, middle, kept", sum(x, {{1}, true}).shape(), {2, 1, 4}},
           {"sum, first and last", sum(x, {{2, 0}}).shape(), {3}},
           {"sum, first and last, kept", sum(x, {{-1, 0}, true}).shape(), {1, 3, 1}},
           {"sum of a scalar", sum(zeros({})).shape(), {}},
           {"mean, last, kept", mean(x, {{2}, true}).shape(), {2, 3, 1}},
           {"max, last two", max(x, {{1, 2}}).shape(), {2}},
           {"max, last two, kept", max(x, {{1, 2}, true}).shape(), {2, 1, 1}},
           {"argmax, middle", argmax(x.array(), 1).shape(), {2, 4}},
           {"argmax, last", argmax(x.array()).shape(), {2, 3}},
           {"add, more axes on the right", add(zeros({4}), x).shape(), {2, 3, 4}},
           {"add, both repeat", add(zeros({2, 1, 4}), zeros({3, 1})).shape(), {2, 3, 4}},
           {"add, nothing against one", add(zeros({0, 4}), zeros({1, 4})).shape(), {0, 4}},
           {"add, a scalar", add(zeros({}), zeros({1, 1})).shape(), {1, 1}},
           {"reshape", reshape(x, {4, -1}).shape(), {4, 6}},
           {"reshape to a scalar", reshape(zeros({1, 1}), {}).shape(), {}},
           {"transpose", transpose(x).shape(), {2, 4, 3}},
           {"transpose, order", transpose(x, {2, 0, -2}).shape(), {4, 2, 3}},
           {"slice, first", slice(x, 0, 1, 2).shape(), {1, 3, 4}},
           {"slice, middle", slice(x, -2, 1, 3).shape(), {2, 2, 4}},
           {"split, first part", split(x, {1, 2}, 1)[0].shape(), {2, 1, 4}},
           {"split, last part", split(x, {1, 2}, -2)[1].shape(), {2, 2, 4}},
           {"split, equal parts", split(x, 2, -1)[1].shape(), {2, 3, 2}},
           {"stack, first", stack({x, x, x, x, x}).shape(), {5, 2, 3, 4}},
           {"stack, second", stack({x, x, x, x, x}, 1).shape(), {2, 5, 3, 4}},
           {"stack, last", stack({x, x, x, x, x}, -1).shape(), {2, 3, 4, 5}},
           {"where, all repeat", where(no, zeros({2, 1}), zeros({1, 4})).shape(), {3, 2, 4}},
           {"masked_fill", masked_fill(x, Array::zeros({3, 1}, DType::boolean), 1).shape(), {2, 3, 4}},
           {"log_sum_exp, middle", log_sum_exp(x, {{1}}).shape(), {2, 4}},
           {"log_sum_exp, first and last, kept", log_sum_exp(x, {{0, 2}, true}).shape(), {1, 3, 1}},
           {"log_sum_exp", log_sum_exp(x).shape(), {}},
           {"concatenate", concatenate({x, zeros({2, 0, 4}), zeros({2, 5, 4})}, -2).shape(), {2, 8, 4}},
           {"select_rows", select_rows(x, ids(5)).shape(), {5, 3, 4}},
           {"embedding", embedding(zeros({7, 4}), ids(3)).shape(), {3, 4}},
           {"matmul", matmul(zeros({2, 3}), zeros({3, 5})).shape(), {2, 5}},
           {"matmul, transposed", matmul(zeros({3, 2}), zeros({5, 3}), {true, true}).shape(), {2, 5}},
           {"matmul, batches", matmul(zeros({6, 7, 2, 3}), zeros({6, 7, 3, 5})).shape(), {6, 7, 2, 5}},
           {"matmul, one b", matmul(zeros({6, 3, 2}), zeros({3, 5}), {true, false}).shape(), {6, 2, 5}},
           {"linear", linear(zeros({6, 2, 3}), zeros({5, 3})).shape(), {6, 2, 5}},
           {"linear of one row", linear(zeros({3}), zeros({5, 3})).shape(), {5}},
           {"softmax", softmax(x).shape(), {2, 3, 4}},
           {"attention", attention(zeros({3, 12}), {{0, 3}}, 2).shape(), {3, 4}},
           {"cross_entropy", cross_entropy(zeros({2, 3}), ids(2)).shape(), {}},
           {"mean_squared_error", mean_squared_error(x, x).shape(), {}}})
    EXPECT_EQ(e.got, e.wanted) << e.what << ": " << e.got.str();
}

std::vector<double> gradient(const Tensor& y, const Tensor& x) {
  backward(y, Array::full(y.shape(), 1, DType::f64));
  EXPECT_EQ(x.grad().shape(), x.shape());
  return x.grad().to_vector<double>();
}

TEST(Shapes, SumsOfNothingAreZeroAndSoAreTheirGradients) {
  Tensor x = ones({2, 0, 3});
  Tensor y = sum(x, {{1}});
  EXPECT_EQ(y.array().to_vector<double>(), std::vector<double>(6, 0));
  EXPECT_EQ(gradient(y, x), std::vector<double>());
  x = ones({0, 5});
  EXPECT_EQ(sum(x).item(), 0);
  EXPECT_EQ(sum(x, {{1}}).shape(), (Shape{0}));
  Tensor a = ones({4, 0}), b = ones({0, 3});
  y = matmul(a, b);
  EXPECT_EQ(y.array().to_vector<double>(), std::vector<double>(12, 0));
  EXPECT_EQ(gradient(y, b), std::vector<double>());
  // What is repeated no times gets no gradient.
  Tensor row = ones({1, 3});
  EXPECT_EQ(gradient(multiply(zeros({0, 3}), row), row), std::vector<double>(3, 0));
  Tensor W = ones({2, 3}), bias = ones({2});
  y = linear(zeros({0, 3}), W, bias);
  EXPECT_EQ(y.shape(), (Shape{0, 2}));
  EXPECT_EQ(gradient(y, W), std::vector<double>(6, 0));
  EXPECT_EQ(bias.grad().to_vector<double>(), std::vector<double>(2, 0));
}

TEST(Shapes, NoRowsOfATable) {
  Tensor table = ones({3, 2});
  EXPECT_EQ(gradient(embedding(table, ids(0)), table), std::vector<double>(6, 0));
  Tensor x = ones({3, 2});
  EXPECT_EQ(gradient(slice(x, 0, 2, 2), x), std::vector<double>(6, 0));
  x = ones({0, 4});
  Tensor loss = cross_entropy(x, ids(0), {.denominator = 8});
  EXPECT_EQ(loss.item(), 0);
  EXPECT_EQ(gradient(loss, x), std::vector<double>());
  Tensor part = ones({2, 3}), none = ones({0, 3});
  EXPECT_EQ(gradient(concatenate({none, part}), part), std::vector<double>(6, 1));
  EXPECT_EQ(none.grad().shape(), (Shape{0, 3}));
}

// Arrays that claim more elements than there are, which no operation may look at before it has counted those
// of its result: adding [2³¹, 1] and [1, 2³¹] has 2⁶² elements, whose bytes are 0 in 64 bits.
TEST(Shapes, ResultsOfTooManyElementsAreRefused) {
  constexpr int64_t large = int64_t{1} << 31;
  static float one = 1;
  auto claimed = [](const Shape& shape) {
    return Tensor(Array::wrap(static_cast<const void*>(&one), shape, DType::f32, std::make_shared<int>()));
  };
  Tensor column = claimed({large, 1}), row = claimed({1, large});
  for (auto op : {add, subtract, multiply, divide})
    EXPECT_NE(message_of([&] { op(column, row); }).find("] too many elements at axis 1 of extent 2147483648"),
              std::string::npos);
  EXPECT_EQ(message_of([&] { matmul(column, row); }),
            "[matmul] too many elements at axis 1 of extent 2147483648");
  EXPECT_EQ(message_of([&] { matmul(row, column, {.transpose_a = true, .transpose_b = true}); }),
            "[matmul] too many elements at axis 1 of extent 2147483648");
  // Without elements, but not without extents: a product of nothing is zero, and there would be 2⁶².
  Tensor nothing = claimed({large, 0}), no_rows = claimed({0, large});
  EXPECT_EQ(message_of([&] { matmul(nothing, no_rows); }),
            "[matmul] too many elements at axis 1 of extent 2147483648");
  EXPECT_NE(message_of([&] { linear(nothing, nothing, Tensor()); }).find("too many elements"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              concatenate(std::vector<Tensor>(3, claimed({int64_t{1} << 55, 0})), 0);
            }).find("too many elements"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              select_rows(claimed({1, int64_t{1} << 50}), ids(100));
            }).find("too many elements"),
            std::string::npos);
}

}  // namespace
}  // namespace bertie
