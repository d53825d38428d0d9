// The engine: what it accumulates, what it refuses, what it frees.
#include "bertie/autograd/backward.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "bertie/autograd/memory.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/reduce.h"
#include "tests/autograd/parameter.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

TEST(Backward, AddsWhatSeveralUsesBring) {
  Tensor x = parameter({1, 2});
  backward(sum(add(x, x)));
  EXPECT_EQ(grad(x), (std::vector<double>{2, 2}));
  backward(sum(multiply(x, x)));
  EXPECT_EQ(grad(x), (std::vector<double>{4, 6}));  // on top of the first pass
  x.zero_grad();
  EXPECT_FALSE(x.grad());
}

TEST(Backward, NeverAddsIntoAnArrayThatSomebodyElseHolds) {
  Tensor x = parameter({1, 2}), y = parameter({3, 4});
  Tensor z = add(x, y);  // both gradients are the same array
  backward(sum(add(add(z, x), x)));
  EXPECT_EQ(grad(x), (std::vector<double>{3, 3}));
  EXPECT_EQ(grad(y), (std::vector<double>{1, 1}));
}

// Two inner nodes whose gradients are one array: what comes for one of them later must not reach the other.
TEST(Backward, WhatSeveralNodesShareIsNotAddedInto) {
  auto rows_of = [](const Tensor& x) {
    return record("rows", Array::zeros({1, 2}, DType::f64), {x}, [](Array dy, const Needs&) -> Gradients {
      return {Gradient(dy, Array::from(std::vector<int32_t>{1}))};
    });
  };
  for (bool rows : {false, true}) {
    Tensor a = Tensor::parameter(Array::full({2, 2}, 1, DType::f64));
    Tensor b = Tensor::parameter(Array::full({2, 2}, 1, DType::f64));
    Tensor h = scale(a, 3), k = scale(b, 5);
    Tensor early = rows ? sum(rows_of(h)) : sum(multiply(h, h));  // its turn comes after that of add(h, k)
    backward(add(sum(add(h, k)), early));
    EXPECT_EQ(grad(b), (std::vector<double>{5, 5, 5, 5})) << rows;
    EXPECT_EQ(grad(a), (rows ? std::vector<double>{3, 3, 6, 6} : std::vector<double>{21, 21, 21, 21}));
  }
}

// Neither the sum so far nor what comes belongs to the node alone.
TEST(Backward, AddsTwoSharedGradientsInMemoryOfItsOwn) {
  Tensor x = parameter({1, 2}), y = parameter({1, 2}), z = parameter({1, 2});
  Tensor h = scale(x, 1), k = scale(y, 1), m = scale(z, 1);
  backward(sum(add(scale(add(h, k), 2), scale(add(h, m), 3))));
  EXPECT_EQ(grad(x), (std::vector<double>{5, 5}));
  EXPECT_EQ(grad(y), (std::vector<double>{2, 2}));
  EXPECT_EQ(grad(z), (std::vector<double>{3, 3}));
}

// The first of a node's gradients is somebody else's, the second is its own, and the other way round.
TEST(Backward, AddsInEitherOrder) {
  for (bool shared_first : {false, true}) {
    Tensor x = parameter({1, 2}), other = parameter({3, 4});
    Tensor h = scale(x, 1), k = scale(other, 1), shared, own;
    if (shared_first) own = multiply(h, h);
    shared = add(h, k);
    if (!shared_first) own = multiply(h, h);
    backward(sum(add(shared, own)));
    EXPECT_EQ(grad(x), (std::vector<double>{3, 5}));
    EXPECT_EQ(grad(other), (std::vector<double>{1, 1}));
  }
}

TEST(Backward, GivesEachParameterAGradientOfItsOwn) {
  Tensor a = parameter({1, 2}), b = parameter({3, 4});
  Array dy = Array::full({2}, 4, DType::f64);
  backward(add(a, b), dy);
  dy.fill_zero();
  Array of_a = a.grad();
  of_a.fill_zero();
  EXPECT_EQ(grad(b), (std::vector<double>{4, 4}));
}

TEST(Backward, SumsABroadcastGradient) {
  Tensor x = Tensor::parameter(Array::full({2, 1, 3}, 1, DType::f64)),
         y = Tensor::parameter(Array::full({4, 1}, 2, DType::f64));
  backward(sum(multiply(x, y)));
  EXPECT_EQ(x.grad().shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(x.grad().item(5), 8);
  EXPECT_EQ(y.grad().shape(), (Shape{4, 1}));
  EXPECT_EQ(y.grad().item(3), 6);
  Tensor one = Tensor::parameter(Array::full({}, 3, DType::f64));
  backward(multiply(one, parameter({1, 2})), Array::from(std::vector<double>{10, 100}));
  EXPECT_EQ(one.grad().shape(), Shape());
  EXPECT_EQ(one.grad().item(), 210);
}

TEST(Backward, RefusesAGraphThatWasUsed) {
  Tensor x = parameter({1, 2});
  Tensor shared = multiply(x, x), loss = sum(shared);
  backward(loss);
  EXPECT_EQ(message_of([&] { backward(loss); }),
            "[backward] 'sum' was already part of a backward pass: a graph serves once");
  EXPECT_EQ(message_of([&] { backward(mean(shared)); }),
            "[backward] 'multiply' was already part of a backward pass: a graph serves once");
}

TEST(Backward, RefusesWhatHasNoGradient) {
  Tensor constant = Array::full({}, 1, DType::f64), x = parameter({1, 2});
  EXPECT_NE(message_of([&] { backward(constant); }).find("no gradient was recorded"), std::string::npos);
  Tensor loss;
  {
    NoGrad no_grad;
    loss = sum(x);
  }
  EXPECT_NE(message_of([&] { backward(loss); }).find("no gradient was recorded"), std::string::npos);
  EXPECT_NE(message_of([&] { backward(add(x, x)); }).find("starts from one number"), std::string::npos);
}

TEST(Backward, NoticesDataChangedInPlace) {
  Tensor x = parameter({1, 2});
  Tensor loss = sum(multiply(x, x));
  x.mutable_array().mutable_data<double>()[0] = 5;
  EXPECT_EQ(message_of([&] { backward(loss); }),
            "[backward] input 0 of 'multiply' was changed in place after its use");
  Tensor other = parameter({3, 4});
  loss = sum(multiply(x, other));
  other.mutable_array().mutable_data<double>()[1] = 5;
  EXPECT_EQ(message_of([&] { backward(loss); }),
            "[backward] input 1 of 'multiply' was changed in place after its use");
  Tensor y = exp(x);
  Array result = y.array();
  result.mutable_data<double>()[0] = 5;
  EXPECT_EQ(message_of([&] { backward(y, Array::zeros({2}, DType::f64)); }),
            "[backward] the result of 'exp' was changed in place before the backward pass");
}

TEST(Backward, ChecksWhatAnOperationReturns) {
  Tensor x = parameter({1, 2, 3});
  auto with = [&](Gradients gradients) {
    return message_of([&] {
      backward(sum(
          record("mine", x.array().clone(), {x}, [gradients](Array, const Needs&) { return gradients; })));
    });
  };
  EXPECT_EQ(with({}), "[backward] 'mine' has 1 inputs but returned 0 gradients");
  EXPECT_EQ(with({Array()}), "[backward] 'mine' returned no gradient for input 0, which needs one");
  EXPECT_EQ(with({Array::zeros({2}, DType::f64)}),
            "[backward] 'mine' returned a gradient of shape [2] for input 0 of shape [3]");
  EXPECT_EQ(with({Array::zeros({3}, DType::f32)}),
            "[backward] 'mine' returned a f32 gradient for input 0, which is f64");
}

TEST(Backward, RefusesAnInputWithoutAValue) {
  Tensor x = parameter({1});
  auto nothing = [](Array, const Needs&) { return Gradients(2); };
  EXPECT_EQ(message_of([&] {
              record("mine", x.array(), {x, Tensor()}, nothing);
            }),
            "[mine] an input has no value");
}

TEST(Backward, TellsWhenAParametersGradientIsFinal) {
  Tensor early = parameter({1, 2}), late = parameter({3, 4});
  Tensor first = multiply(early, early);
  std::vector<std::vector<double>> order;
  BackwardHooks hooks;
  hooks.on_final_gradient = [&](const Tensor& x) { order.push_back(grad(x)); };
  backward(sum(add(multiply(first, late), late)), hooks);
  // `late` is final before the pass reaches `early`, and each is told once, complete.
  EXPECT_EQ(order, (std::vector<std::vector<double>>{{2, 5}, {6, 16}}));
}

TEST(Backward, AddsUpReturnedRows) {
  auto rows_of = [](const Tensor& x, std::vector<int32_t> ids) {
    Array y = Array::zeros({static_cast<int64_t>(ids.size()), 2}, DType::f64);
    return record("rows", y, {x}, [ids = Array::from(ids)](Array dy, const Needs&) -> Gradients {
      return {Gradient(dy, ids)};
    });
  };
  Tensor x = Tensor::parameter(Array::zeros({3, 2}, DType::f64));
  backward(rows_of(x, {2, 0, 2}), Array::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 2}));
  EXPECT_EQ(grad(x), (std::vector<double>{3, 4, 0, 0, 6, 8}));
  // Into what is there already, in the order of the pass, of a parameter and of an inner node, bound or not.
  Array values = Array::zeros({6}, DType::f64), grads = Array::full({6}, 9, DType::f64);
  for (bool bound : {false, true}) {
    if (bound) x.bind(values.reshape({3, 2}), grads.reshape({3, 2}));
    x.zero_grad();
    backward(rows_of(x, {1}), Array::full({1, 2}, 3, DType::f64));
    EXPECT_EQ(grad(x), (std::vector<double>{0, 0, 3, 3, 0, 0}));
    Tensor twice = scale(x, 2);
    backward(add(sum(add(x, twice)), sum(rows_of(twice, {1, 1}))));
    EXPECT_EQ(grad(x), (std::vector<double>{3, 3, 10, 10, 3, 3}));
  }
  EXPECT_EQ(message_of([&] { backward(sum(rows_of(x, {3}))); }),
            "[add_rows] ids must be in 0 … 2: id 3 at position 0");
  Tensor y = record("rows", Array::zeros({2, 2}, DType::f64), {x}, [](Array dy, const Needs&) -> Gradients {
    return {Gradient(dy, Array::from(std::vector<int32_t>{0}))};
  });
  EXPECT_EQ(message_of([&] { backward(sum(y)); }),
            "[backward] 'rows' returned rows [2, 2] with 1 ids for input 0 of shape [3, 2]");
}

// A slice to its values would lose where they belong.
static_assert(!std::is_convertible_v<Gradient, Array> && !std::is_assignable_v<Array&, Gradient>);

TEST(Backward, OffersAPlaceForAParametersGradient) {
  Array values = Array::zeros({4}, DType::f64), grads = Array::full({4}, 9, DType::f64);
  bool stays = true;  // is the place expected to be the bound one?
  auto in_place = [&](const Tensor& a, const Tensor& b) {
    return record("mine", a.array().clone(), {a, b}, [&](Array dy, const Needs& needs) -> Gradients {
      Gradients gradients(2);
      for (size_t i = 0; i < 2; ++i) {
        gradients[i] = needs.place(i);
        EXPECT_EQ(gradients[i].values.storage() == grads.storage(), stays);
        gradients[i].values.copy_from(dy);
      }
      return gradients;
    });
  };
  Tensor x = parameter({1, 2}), y = parameter({3, 4});
  x.bind(values.rows(0, 2), grads.rows(0, 2));
  y.bind(values.rows(2, 4), grads.rows(2, 4));
  backward(sum(in_place(x, y)));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{1, 1, 1, 1}));
  stays = false;  // no longer the first gradient
  backward(sum(in_place(x, y)));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{2, 2, 2, 2}));
  x.zero_grad();  // the first again, but of one parameter twice
  backward(sum(in_place(x, x)));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{2, 2, 2, 2}));
}

TEST(Backward, CollectsInBoundMemory) {
  Array values = Array::zeros({4}, DType::f64), grads = Array::full({4}, 9, DType::f64);
  Tensor x = parameter({1, 2}), tied = x;
  x.bind(values.rows(2, 4), grads.rows(2, 4));
  EXPECT_EQ(values.to_vector<double>(), (std::vector<double>{0, 0, 1, 2}));
  backward(sum(multiply(x, tied)));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{9, 9, 2, 4}));
  backward(sum(tied));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{9, 9, 3, 5}));
  x.zero_grad();
  backward(sum(x));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{9, 9, 1, 1}));
}

// The numbers show the order: 1e16 + 1 is 1e16, so that 1 + 1e16 − 1e16 is 1 only where the last two are
// added first. Of rows, too, and of the rest of the table beside them.
TEST(Backward, AddsAWholeGradientToThatOfPassesBefore) {
  auto rows_of = [](const Tensor& x, double dy) {
    return record("rows", Array::zeros({}, DType::f64), {x}, [=](Array, const Needs&) -> Gradients {
      return {Gradient(Array::full({2, 1}, dy, DType::f64), Array::from(std::vector<int32_t>{1, 1}))};
    });
  };
  Array values = Array::zeros({2}, DType::f64), grads = Array::full({2}, 9, DType::f64);
  for (bool bound : {false, true})
    for (bool rows_first : {false, true}) {
      Tensor x = Tensor::parameter(Array::zeros({2, 1}, DType::f64));
      if (bound) x.bind(values.reshape({2, 1}), grads.reshape({2, 1}));
      backward(sum(x));
      double sign = rows_first ? -1 : 1;
      Tensor rows, all;
      if (!rows_first) rows = rows_of(x, -0.5e16 * sign);
      all = sum(scale(x, 1e16 * sign));
      if (rows_first) rows = rows_of(x, -0.5e16 * sign);
      int told = 0;
      BackwardHooks hooks;
      hooks.on_final_gradient = [&](const Tensor& parameter) {
        ++told;
        EXPECT_EQ(parameter.grad().item(1), 1);
      };
      backward(add(all, rows), hooks);
      EXPECT_EQ(told, 1);
      EXPECT_EQ(grad(x), (std::vector<double>{1 + 1e16 * sign, 1}));
      if (bound) {
        EXPECT_EQ(grads.to_vector<double>(), grad(x));
      }
    }
}

TEST(Explain, MarksTheFirstThatIsNotFinite) {
  KeepValues keep;
  Tensor x = parameter({1, 0});
  std::string text = explain(sum(log(x)));
  EXPECT_NE(text.find("sum"), std::string::npos);
  size_t mark = text.find("<-- the first that isn't finite");
  ASSERT_NE(mark, std::string::npos);
  EXPECT_EQ(text.find("<--", mark + 1), std::string::npos);
}

// Runs body on a thread with a stack of 8 MiB, whatever the limit here.
void with_small_stack(const std::function<void()>& body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size_t{8} << 20), 0);
  pthread_t thread;
  auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)), 0);
  pthread_join(thread, nullptr);
}

TEST(Graph, AMillionOperationsNeedNoStack) {
  int64_t before = memory_counters().live_bytes;
#ifdef BERTIE_SANITIZE
  constexpr int length = 50'000;
#else
  constexpr int length = 1'000'000;
#endif
  with_small_stack([] {
    Tensor x = Tensor::parameter(Array::full({1}, 1, DType::f64));
    Tensor y = x;
    for (int i = 0; i < length; ++i) y = add(y, x);
    backward(y);
    EXPECT_EQ(x.grad().item(), length + 1);
    Tensor z = x;  // and one that is destroyed unused
    for (int i = 0; i < length; ++i) z = negate(z);
  });
  EXPECT_EQ(memory_counters().live_bytes, before);
}

}  // namespace
}  // namespace bertie
