// The case table: one entry per operation, from which come the value and gradient tests, the f32 tests
// through every backend and instruction set, the proof that the gradient check can fail, the error tests and
// the benchmarks.
#pragma once
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "bertie/autograd/tensor.h"

namespace bertie {

using Sizes = std::vector<int64_t>;  // what an entry makes its shapes from, e.g. {T, in, out} for linear

// Values drawn uniformly from [low, high). Where the operation has a kink at zero, `away_from_zero` keeps |x|
// above it; where it has one at equal values, `spaced` gives each a place of its own, half of (high − low) /
// elements or more from its neighbors'. The differences that test gradients at large_sizes move each by up to
// direction_step · 3.
struct Input {
  Shape shape;
  double low = -1, high = 1;
  double away_from_zero = 0;
  bool needs_gradient = true;
  bool spaced = false;
  bool is_parameter = false;  // in a run in bf16 it stays f32
};
constexpr double direction_step = 5e-4;

template <class T>
using Values = std::vector<std::vector<T>>;  // one flat vector per input

template <class T>
using PlainLoop = std::function<std::vector<T>(const Values<T>& in, const Sizes& sizes)>;

struct ErrorCase {
  std::string what;            // "inner dimensions differ"
  std::function<void()> call;  // must throw Error …
  std::string message;         // … whose text contains this
};

struct OpCase {
  std::string name;  // "linear" or "linear, no bias"
  // Small, and some of no elements: f64 values, and the gradient of each element by differences of the
  // operation itself.
  std::vector<Sizes> check_sizes;
  // Beyond each border within the operation, some 10⁵ elements at most: a second task of each loop (the test
  // counts), a second block of sums (64 or 128 rows, 4096 elements in a row), several vectors and a rest
  // (primes). f64 values against `plain`, gradients against differences of `plain`, f32 against both in every
  // instruction set and, for products, by every backend.
  std::vector<Sizes> large_sizes;
  std::vector<Sizes> bench_sizes;  // BERT-base; may be empty
  std::function<std::vector<Input>(const Sizes&)> inputs;
  std::function<Tensor(const std::vector<Tensor>& in, const Sizes&)> op;
  PlainLoop<double> plain;     // the textbook's loops, sharing nothing with the operation
  PlainLoop<float> plain_f32;  // the same in f32: its error is the yardstick
  std::vector<ErrorCase> errors;
  // For the benchmark: 2MNK of the forward pass's products, or the bytes that a pass must move at least in
  // f32: each input read and each result written once. A result in memory of its own counts twice, because
  // the CPU fetches a line into its cache before it writes there. A backward pass without bytes moves none.
  std::function<double(const Sizes&)> flops, bytes, backward_bytes;
  // True for elements of the first input that stay as they are where others are made large or are shifted
  // (tests/ops/extreme_inputs_test.cpp); the entry says why. Not set: there are none.
  std::function<bool(int64_t element, const Sizes&)> stays_ordinary;
  // Kinds of such inputs of which only the values are compared; the entry says why.
  std::vector<std::string> values_alone;
  // Numbers between input and result that a run in bf16 rounds, where that isn't the result alone: each may
  // move any result by as much as rounding the largest one; the entry says which they are.
  int rounded_between = 0;
  bool calls_library = true;  // for its products, so that the benchmark tries both libraries
  bool one_task = false;      // a loop of it has but one task at any size, as where one number is the result

  // Sets both loops from one template: .loops([]<class T>(const Values<T>& in, const Sizes& s) { … }).
  template <class F>
  OpCase& loops(F f) {
    plain = [f](const Values<double>& in, const Sizes& s) { return f.template operator()<double>(in, s); };
    plain_f32 = [f](const Values<float>& in, const Sizes& s) { return f.template operator()<float>(in, s); };
    return *this;
  }
};

inline void PrintTo(const OpCase& op, std::ostream* out) { *out << op.name; }  // for GoogleTest

// Each family of operations adds its entries in tests/op_cases/<family>.cpp.
void add_elementwise_cases(std::vector<OpCase>& table);
void add_reduce_cases(std::vector<OpCase>& table);
void add_layout_cases(std::vector<OpCase>& table);
void add_matmul_cases(std::vector<OpCase>& table);
void add_softmax_cases(std::vector<OpCase>& table);
void add_layer_norm_cases(std::vector<OpCase>& table);
void add_dropout_cases(std::vector<OpCase>& table);
void add_embedding_cases(std::vector<OpCase>& table);
void add_attention_cases(std::vector<OpCase>& table);
void add_loss_cases(std::vector<OpCase>& table);

// The whole table, and random inputs for one of its entries: the same numbers in f32 and in f64.
const std::vector<OpCase>& op_cases();
std::vector<Array> make_inputs(const OpCase& op, const Sizes& sizes, DType type, uint64_t seed);

}  // namespace bertie
