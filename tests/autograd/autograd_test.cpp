// The engine: what it accumulates, what it refuses, what it frees.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/layout.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

Tensor parameter(std::vector<double> values) { return Tensor::parameter(Array::from(values)); }
std::vector<double> grad(const Tensor& x) { return x.grad().to_vector<double>(); }

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

TEST(Parameter, TakesItsGradientAlongWhenItIsBound) {
  Array values = Array::zeros({2}, DType::f64), grads = Array::full({2}, 9, DType::f64);
  Tensor x = parameter({1, 2});
  backward(sum(x));
  x.bind(values, grads);
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{1, 1}));
  backward(sum(multiply(x, x)));
  EXPECT_EQ(grads.to_vector<double>(), (std::vector<double>{3, 5}));
  x.mutable_array().fill_zero();
  EXPECT_EQ(values.to_vector<double>(), (std::vector<double>{0, 0}));
}

TEST(Parameter, RefusesWrongPlaces) {
  Tensor x = parameter({1, 2});
  Array two = Array::zeros({2}, DType::f64), three = Array::zeros({3}, DType::f64);
  EXPECT_EQ(message_of([&] { x.bind(two, three); }),
            "[bind] the new places must be f64 [2], like the parameter");
  EXPECT_EQ(message_of([&] { x.replace(three); }),
            "[replace] the new value must be f64 [2], like the parameter");
  x.replace(two);
  EXPECT_EQ(x.array().to_vector<double>(), (std::vector<double>{0, 0}));
  x.bind(two, two.clone());
  EXPECT_EQ(message_of([&] { x.bind(two, two); }), "[bind] this parameter's place is bound already");
  EXPECT_EQ(message_of([&] { x.replace(two); }),
            "[replace] this parameter's place is bound: copy into mutable_array() instead");
  x.unbind();
  EXPECT_EQ(message_of([&] { x.replace(two); }), "no error");
}

TEST(NoGrad, LastsUntilTheOutermostEnds) {
  Tensor x = parameter({1, 2});
  {
    NoGrad outer;
    {
      NoGrad inner;
      EXPECT_FALSE(scale(x, 2).requires_grad());
    }
    EXPECT_FALSE(scale(x, 2).requires_grad());
  }
  EXPECT_TRUE(scale(x, 2).requires_grad());
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

#ifndef BERTIE_SANITIZE  // there every array is a malloc of its own
TEST(Memory, StepsOfRandomSizesStopAskingTheSystem) {
  Tensor W = Tensor::parameter(Array::full({64, 64}, 0.01, DType::f32));
  Random random(3);
  auto step = [&](int64_t tokens) {
    Tensor x = Array::full({tokens, 64}, 1, DType::f32);
    Tensor h = x;
    for (int layer = 0; layer < 4; ++layer) h = gelu(linear(h, W, Tensor()));
    backward(mean(h));
    W.zero_grad();
  };
  int64_t live = memory_counters().live_bytes;
  for (int i = 0; i < 20; ++i) step(1000);
  MemoryCounters warm = memory_counters();
  for (int i = 0; i < 1000; ++i) step(1 + static_cast<int64_t>(random.below(1000)));
  EXPECT_EQ(memory_counters().system_requests, warm.system_requests);
  EXPECT_EQ(memory_counters().reserved_bytes, warm.reserved_bytes);
  EXPECT_LE(memory_counters().peak_bytes, warm.peak_bytes);
  EXPECT_EQ(memory_counters().live_bytes, live);
}
#endif

#ifndef BERTIE_SANITIZE
// Blocks of random sizes, each filled with its own number: none may lie on another, and what is given back
// joins its neighbors to what serves a large one.
TEST(Memory, BlocksLieApartAndJoinAgain) {
  Random random(5);
  std::vector<std::pair<Array, int64_t>> blocks;
  int64_t requests = 0, live = memory_counters().live_bytes;
  for (int round = 0; round < 2; ++round) {
    for (int64_t i = 0; i < 3000; ++i) {
      if (blocks.size() < 300 || random.below(2)) {
        Array block = Array::empty({1 + static_cast<int64_t>(random.below(20'000))}, DType::i64);
        std::fill_n(block.mutable_data<int64_t>(), block.size(), i);
        blocks.push_back({block, i});
      } else {
        std::swap(blocks[random.below(blocks.size())], blocks.back());
        auto [block, number] = blocks.back();
        for (int64_t value : block.to_vector<int64_t>()) ASSERT_EQ(value, number);
        blocks.pop_back();
      }
    }
    for (auto& [block, number] : blocks)
      for (int64_t value : block.to_vector<int64_t>()) ASSERT_EQ(value, number);
    // Given back in random order, all is one piece again: as much as there was in one block.
    for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[random.below(i)]);
    blocks.clear();
    EXPECT_EQ(memory_counters().live_bytes, live);
    if (round == 0) Array::empty({int64_t{240} << 17}, DType::i64);  // nearly a region
    if (round == 0) requests = memory_counters().system_requests;
  }
  Array::empty({int64_t{240} << 17}, DType::i64);
  EXPECT_EQ(memory_counters().system_requests, requests);
}
#endif

TEST(Random, GivesNumbersThatDontRepeat) {
  std::set<uint64_t> seen;
  for (uint64_t seed : {1, 2})
    for (uint64_t stream : {0, 1}) {
      Random random(seed, stream);
      for (int i = 0; i < 1000; ++i) {
        uint64_t high = random.next();
        seen.insert(high << 32 | random.next());
      }
    }
  EXPECT_EQ(seen.size(), 4000u);
}

// The bits of each are as often 0 as 1, and the moments those of the distribution: 10,000 draws of a mean
// have a standard deviation of 1/100 of one's.
TEST(Random, HasTheDistributionsItNames) {
  constexpr int draws = 10'000;
  Random random(1);
  double mean = 0, square = 0, uniform = 0, low_half = 0;
  int bits[40] = {};
  for (int i = 0; i < draws; ++i) {
    double normal = random.normal(), u = random.uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    mean += normal / draws;
    square += normal * normal / draws;
    uniform += u / draws;
    low_half += (u < 0.25) / static_cast<double>(draws);
    uint64_t value = random.below(uint64_t{1} << 40);
    ASSERT_LT(value, uint64_t{1} << 40);
    for (int bit = 0; bit < 40; ++bit) bits[bit] += value >> bit & 1;
  }
  EXPECT_NEAR(mean, 0, 0.05);
  EXPECT_NEAR(square, 1, 0.07);
  EXPECT_NEAR(uniform, 0.5, 0.015);
  EXPECT_NEAR(low_half, 0.25, 0.02);
  for (int bit = 0; bit < 40; ++bit) EXPECT_NEAR(bits[bit], draws / 2, 250) << bit;
  int thirds[3] = {};
  for (int i = 0; i < draws; ++i) ++thirds[random.below(3)];
  for (int count : thirds) EXPECT_NEAR(count, draws / 3.0, 250);
}

TEST(Random, IsPhilox) {
  // The known answers of the Random123 library's kat_vectors for philox4x32-10.
  EXPECT_EQ(philox(0, {0, 0, 0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~uint64_t{0}, {~0u, ~0u, ~0u, ~0u}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

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

}  // namespace
}  // namespace bertie
