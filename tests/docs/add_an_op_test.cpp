// The operation that docs/add_an_op.md adds step by step: what stands there is quoted from here, and what the
// page changes in other files is there to be changed.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "bertie/autograd/gradcheck.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/files/mapped_file.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/op_cases/op_case.h"

namespace bertie {
namespace {

// y = (x + √(x² + 4)) / 2, a smooth relu (Barron, 2021)    x [...] → y [...]. Throws unless x is f32, f64 or
// bf16.
Tensor squareplus(const Tensor& x);

constexpr int64_t grain = 1 << 14;  // elements per task

Tensor squareplus(const Tensor& x) {
  check_value("squareplus", x);
  return dispatch("squareplus", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Array y = Array::empty(x.shape(), x.dtype());
    const T* in = x.array().data<T>();
    T* out = y.mutable_data<T>();
    parallel_ranges(y.size(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = (in[i] + std::sqrt(in[i] * in[i] + 4)) / 2;
    });
    // dy/dx = (1 + x / √(x² + 4)) / 2
    return record("squareplus", y, {x}, [x = x.array()](Array dy, const Needs&) -> Gradients {
      Array dx = dy.unique() ? dy : Array::empty(dy.shape(), dy.dtype());
      const T *in = x.data<T>(), *from = dy.data<T>();
      T* to = dx.mutable_data<T>();
      parallel_ranges(dx.size(), grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          to[i] = from[i] * (1 + in[i] / std::sqrt(in[i] * in[i] + 4)) / 2;
      });
      return {dx};
    });
  });
}

void add_squareplus_cases(std::vector<OpCase>& table) {
  OpCase c;  // {n}
  c.name = "squareplus";
  c.check_sizes = {{7}, {1}, {16}, {0}};
  c.large_sizes = {{17}, {40009}};
  c.bench_sizes = {{4096 * 3072}};
  c.inputs = [](const Sizes& s) { return std::vector<Input>{{.shape = {s[0]}, .low = -4, .high = 4}}; };
  c.op = [](const std::vector<Tensor>& in, const Sizes&) { return squareplus(in[0]); };
  c.loops([]<class T>(const Values<T>& in, const Sizes&) {
    std::vector<T> y;
    for (T x : in[0]) y.push_back((x + std::hypot(x, T(2))) / 2);
    return y;
  });
  c.errors = {{"integers", [] { squareplus(Array::zeros({2}, DType::i32)); },
               "[squareplus] takes f32, f64 or bf16, got i32"}};
  c.bytes = [](const Sizes& s) { return 12.0 * static_cast<double>(s[0]); };
  c.backward_bytes = [](const Sizes& s) { return 16.0 * static_cast<double>(s[0]); };
  table.push_back(c);
}

class AddAnOp : public testing::Test {
 protected:
  AddAnOp() {
    std::vector<OpCase> table;
    add_squareplus_cases(table);
    entry_ = table.at(0);
  }
  // What the gradient check says of the entry at one of its sizes.
  std::string gradient_message(const Sizes& sizes, const BackwardHooks& hooks = {}) {
    GradcheckOptions options;
    options.hooks = hooks;
    return message_of([&] {
      gradcheck(
          "squareplus", [&](const std::vector<Tensor>& in) { return entry_.op(in, sizes); },
          make_inputs(entry_, sizes, DType::f64, 1), options);
    });
  }
  OpCase entry_;
};

TEST_F(AddAnOp, TheEntryHolds) {
  std::vector<Sizes> all = entry_.check_sizes;
  all.insert(all.end(), entry_.large_sizes.begin(), entry_.large_sizes.end());
  TaskCounts counts;
  for (const Sizes& sizes : all) {
    Tensor x = Tensor::parameter(make_inputs(entry_, sizes, DType::f64, 1)[0]);
    Tensor y = entry_.op({x}, sizes);
    std::vector<double> expected = entry_.plain({x.array().to_vector<double>()}, sizes);
    EXPECT_LT(largest_difference(y.array().to_vector<double>(), expected), 1e-14);
    backward(y, Array::full(y.shape(), 1, DType::f64));
    std::vector<double> slope;
    for (double at : x.array().to_vector<double>()) slope.push_back((1 + at / std::hypot(at, 2)) / 2);
    EXPECT_LT(largest_difference(x.grad().to_vector<double>(), slope), 1e-14);
  }
  EXPECT_EQ(counts.most.size(), 2u);
  for (auto [loop, most] : counts.most) EXPECT_EQ(most, 3) << "tasks";
  for (const Sizes& sizes : entry_.check_sizes) EXPECT_EQ(gradient_message(sizes), "no error");
  for (const ErrorCase& error : entry_.errors) EXPECT_EQ(message_of(error.call), error.message);
}

TEST_F(AddAnOp, TheCheckNeedsNoTable) {
  Array x = Array::from(std::vector<double>{-2, -0.5, 0, 3});
  gradcheck("squareplus", [](const std::vector<Tensor>& in) { return squareplus(in[0]); }, {x});
}

TEST_F(AddAnOp, AWrongGradientIsNamed) {
  BackwardHooks fault;
  fault.on_returned_gradients = [](const char*, Gradients& gradients) {
    gradients[0].values = gradients[0].values.clone();
    gradients[0].values.mutable_data<double>()[2] *= 1.001;
  };
  std::string message = gradient_message({7}, fault);
  EXPECT_TRUE(message.starts_with("[gradcheck] squareplus: input 0, element 2: analytic ")) << message;
  EXPECT_NE(message.find("relative error 0.000999"), std::string::npos) << message;
}

// Of each change the lines beside the new ones are in the file, and the new ones aren't: the operation is
// new.
TEST(DocsAddAnOp, TheChangesFit) {
  std::istringstream page(read_file(BERTIE_SOURCE_DIR "/docs/add_an_op.md"));
  const std::string start = "<!-- change ";
  int lines = 0;
  for (std::string line, file; std::getline(page, line);) {
    if (line.starts_with(start))
      file =
          "\n" + read_file(BERTIE_SOURCE_DIR "/" + line.substr(start.size(), line.size() - start.size() - 4));
    if (line == "```") file.clear();
    if (file.empty() || line.size() < 2 || (line[0] != ' ' && line[0] != '+')) continue;
    bool there = file.find("\n" + line.substr(1)) != std::string::npos;
    bool is_new = line[0] == '+' && line.find("quareplus") != std::string::npos;
    if (line[0] == ' ' || is_new) {
      EXPECT_EQ(there, line[0] == ' ') << line;
    }
    ++lines;
  }
  EXPECT_EQ(lines, 26);
}

}  // namespace
}  // namespace bertie
