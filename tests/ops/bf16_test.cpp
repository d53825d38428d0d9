// Every entry of the case table in bf16: inputs, results and gradients stored in it, computed in f32, against
// the same operation in f64 on the same numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "bertie/autograd/backward.h"
#include "bertie/autograd/isa.h"
#include "bertie/autograd/random.h"
#include "bertie/ops/cast.h"
#include "bertie/ops/gemm.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

struct Stored {
  DType stored_as;
  std::vector<double> numbers;
};

// The value of one run, then the gradients of its inputs. The numbers that go in are those that bf16 has.
std::vector<Stored> run_in(const OpCase& op, const Sizes& sizes, DType type) {
  std::vector<Input> inputs = op.inputs(sizes);
  std::vector<Array> arrays = make_inputs(op, sizes, DType::f64, 1);
  std::vector<Tensor> in, leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    DType own = inputs[i].is_parameter ? compute_type(type) : type;
    // A leaf is f32 or f64, so that one of bf16 is a leaf's cast, which is exact.
    Array numbers = arrays[i].cast(DType::bf16).cast(compute_type(type));
    leaves.push_back(inputs[i].needs_gradient ? Tensor::parameter(numbers) : Tensor());
    in.push_back(cast(inputs[i].needs_gradient ? leaves.back() : Tensor(numbers), own));
  }
  Tensor y = op.op(in, sizes);
  std::vector<Stored> results{{y.dtype(), y.array().cast(DType::f64).to_vector<double>()}};
  Array dy = Array::empty(y.shape(), DType::f64);
  Random random(7);
  for (double *p = dy.mutable_data<double>(), *end = p + dy.size(); p != end; ++p) *p = random.normal();
  backward(y, dy.cast(DType::bf16).cast(y.dtype()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].needs_gradient)
      results.push_back({in[i].dtype(), leaves[i].grad().cast(DType::f64).to_vector<double>()});
  return results;
}

// How far the run in bf16 may be from that in f64: rounding, half a unit in the eighth bit, where the result
// is stored in bf16, and what sums in f32 add, which the run in f32 tells.
void expect_rounded(const OpCase& op, const Sizes& sizes) {
  std::vector<Stored> exact = run_in(op, sizes, DType::f64), sums = run_in(op, sizes, DType::f32),
                      rounded = run_in(op, sizes, DType::bf16);
  ASSERT_EQ(exact.size(), rounded.size());
  for (size_t r = 0; r < exact.size(); ++r) {
    const std::vector<double>&x = exact[r].numbers, &f32 = sums[r].numbers, &bf16 = rounded[r].numbers;
    ASSERT_EQ(x.size(), bf16.size());
    double added = 0;
    for (size_t i = 0; i < x.size(); ++i) added = std::max(added, std::abs(f32[i] - x[i]));
    double least = 8 * added + 1e-6 * largest(x) + op.rounded_between * 0x1p-8 * largest(x);
    for (size_t i = 0; i < x.size(); ++i) {
      double rounding = rounded[r].stored_as == DType::bf16 ? 0x1p-8 * std::abs(x[i]) : 0;
      ASSERT_LE(std::abs(bf16[i] - x[i]), rounding + least)
          << op.name << ", " << (r == 0 ? "value" : "gradient " + std::to_string(r - 1)) << ", element " << i
          << ": " << bf16[i] << " in place of " << x[i] << " (f32: " << f32[i] << ")";
    }
  }
}

class Bf16Cases : public testing::TestWithParam<OpCase> {};

TEST_P(Bf16Cases, ErrorsAreThoseOfRoundingOnceAndOfSumsInF32) {
  const OpCase& op = GetParam();
  for (const std::vector<Sizes>& list : {op.check_sizes, op.large_sizes})
    for (const Sizes& sizes : list) expect_rounded(op, sizes);
}

TEST_P(Bf16Cases, EveryInstructionSetHasThem) {
  const OpCase& op = GetParam();
  Isa best = isa();
  for (Isa each : available_isas()) {
    set_isa(each);
    for (const Sizes& sizes : op.large_sizes) expect_rounded(op, sizes);
  }
  set_isa(best);
}

// Without instructions for bf16 the factors' numbers go to f32 first.
TEST_P(Bf16Cases, EveryLibraryHasThem) {
  const OpCase& op = GetParam();
  if (!op.flops) GTEST_SKIP() << "no products of a library";
  for (GemmBackend each : {GemmBackend::openblas, GemmBackend::onednn, GemmBackend::plain}) {
    set_gemm_backend(each);
    for (const Sizes& sizes : op.large_sizes) expect_rounded(op, sizes);
  }
  set_gemm_backend({});
}

INSTANTIATE_TEST_SUITE_P(Table, Bf16Cases, testing::ValuesIn(op_cases()), [](const auto& info) {
  std::string id;
  for (char c : info.param.name) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return id;
});

}  // namespace
}  // namespace bertie
