// docs/backprop.md: its code is quoted from here, its numbers are computed here, once by the engine and once
// by plain loops, and its exercises are done here.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "bertie/autograd/gradcheck.h"
#include "bertie/autograd/node.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/models/next_word.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/embedding.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/matmul.h"
#include "bertie/ops/reduce.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Matrix = std::vector<std::vector<double>>;

std::string text_of(const std::string& path) {
  return read_file(std::string(BERTIE_SOURCE_DIR) + "/" + path);
}

// The sign of a NaN is the processor's choice.
std::string without_signs_of_nan(std::string text) {
  for (size_t at; (at = text.find("-nan")) != std::string::npos;) text[at] = ' ';
  return text;
}

void expect_block(const std::string& block) {
  std::string page = without_signs_of_nan(text_of("docs/backprop.md"));
  EXPECT_NE(page.find("\n```text\n" + without_signs_of_nan(block) + "```\n"), std::string::npos) << block;
}

// The first columns of a matrix, as the page shows them.
std::string rows(const Matrix& m, size_t columns = 4) {
  std::string text;
  for (const std::vector<double>& row : m) {
    for (size_t c = 0; c < std::min(columns, row.size()); ++c)
      text += fmt::format("{:9.4f}", std::abs(row[c]) < 5e-5 ? 0 : row[c]);
    text += row.size() > columns ? "  …\n" : "\n";
  }
  return text;
}

Matrix matrix(const Array& x) {
  std::vector<double> values = x.to_vector<double>();
  auto columns = static_cast<size_t>(x.shape()[-1]);
  Matrix m(columns == 0 ? 0 : values.size() / columns);
  for (size_t r = 0; r < m.size(); ++r)
    m[r].assign(values.begin() + static_cast<int64_t>(r * columns),
                values.begin() + static_cast<int64_t>((r + 1) * columns));
  return m;
}

void expect_near(const Matrix& a, const Matrix& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t r = 0; r < a.size(); ++r) {
    ASSERT_EQ(a[r].size(), b[r].size());
    for (size_t c = 0; c < a[r].size(); ++c) EXPECT_NEAR(a[r][c], b[r][c], 1e-12) << r << ", " << c;
  }
}

// x · y, with either one transposed by hand where a formula says so.
Matrix product(const Matrix& x, const Matrix& y) {
  Matrix result(x.size(), std::vector<double>(y[0].size(), 0));
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t k = 0; k < y.size(); ++k)
      for (size_t j = 0; j < y[0].size(); ++j) result[i][j] += x[i][k] * y[k][j];
  return result;
}

Matrix transposed(const Matrix& x) {
  Matrix result(x[0].size(), std::vector<double>(x.size()));
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t j = 0; j < x[0].size(); ++j) result[j][i] = x[i][j];
  return result;
}

Matrix column_sums(const Matrix& x) {
  Matrix sum{std::vector<double>(x[0].size(), 0)};
  for (const std::vector<double>& row : x)
    for (size_t c = 0; c < row.size(); ++c) sum[0][c] += row[c];
  return sum;
}

Matrix linear_by_hand(const Matrix& x, const Matrix& W, const Matrix& b) {
  Matrix y = product(x, transposed(W));
  for (std::vector<double>& row : y)
    for (size_t c = 0; c < row.size(); ++c) row[c] += b[0][c];
  return y;
}

TEST(DocsBackprop, TheToyModelsNumbers) {
  // I = 0, love = 1, playing = 2, soccer. = 3
  Array words = Array::from(std::vector<int32_t>{0, 1, 2});
  Array next = Array::from(std::vector<int32_t>{1, 2, 3});
  NextWordModel model(4, Initializer::fan_in(1, DType::f64));
  Tensor loss = cross_entropy(model.forward(words), next);

  // Forward, by hand.
  std::vector<Parameter> parameters = model.parameters();
  ASSERT_EQ(parameters.size(), 5u);
  std::vector<Matrix> value;
  for (const Parameter& parameter : parameters) value.push_back(matrix(parameter.tensor.array()));
  const Matrix &E = value[0], &W1 = value[1], &b1 = value[2], &W2 = value[3], &b2 = value[4];
  Matrix x{E[0], E[1], E[2]};
  Matrix h = linear_by_hand(x, W1, b1), z = linear_by_hand(h, W2, b2), p = z, dz;
  double by_hand = 0;
  std::vector<double> losses;
  for (size_t t = 0; t < 3; ++t) {
    double sum = 0;
    for (double& element : p[t]) sum += element = std::exp(element);
    for (double& element : p[t]) element /= sum;
    losses.push_back(-std::log(p[t][t + 1]));
    by_hand += losses[t] / 3;
  }
  EXPECT_NEAR(loss.item(), by_hand, 1e-12);
  expect_block("z =\n" + rows(z) + "p = softmax(z) =\n" + rows(p) +
               fmt::format("loss = ({:.4f} + {:.4f} + {:.4f}) / 3 = {:.4f}\n", losses[0], losses[1],
                           losses[2], by_hand));

  // Backward, by hand: p − onehot over 3, and then the formulas of the page.
  dz = p;
  for (size_t t = 0; t < 3; ++t) {
    dz[t][t + 1] -= 1;
    for (double& element : dz[t]) element /= 3;
  }
  Matrix dW2 = product(transposed(dz), h), db2 = column_sums(dz), dh = product(dz, W2);
  Matrix dW1 = product(transposed(dh), x), db1 = column_sums(dh), dx = product(dh, W1);
  Matrix dE{dx[0], dx[1], dx[2], std::vector<double>(10, 0)};

  // By the engine.
  std::vector<std::pair<std::string, Matrix>> passed;
  BackwardHooks hooks;
  hooks.on_node = [&](const Node& node, const Array& gradient) {
    if (!node.is_parameter && node.shape.rank() > 0) passed.emplace_back(node.op, matrix(gradient));
  };
  backward(loss, hooks);
  ASSERT_EQ(passed.size(), 3u);
  EXPECT_EQ(passed[0].first + " " + passed[1].first + " " + passed[2].first, "linear linear embedding");
  expect_near(passed[0].second, dz);
  expect_near(passed[1].second, dh);
  expect_near(passed[2].second, dx);
  std::vector<Matrix> expected{dE, dW1, db1, dW2, db2};
  for (size_t i = 0; i < expected.size(); ++i) expect_near(matrix(parameters[i].tensor.grad()), expected[i]);

  expect_block("dz = (p − onehot) / 3 =\n" + rows(dz));
  expect_block("db₂ =\n" + rows(db2) + "dW₂ =\n" + rows(dW2) + "dh = dz W₂ =\n" + rows(dh));
  expect_block(fmt::format("dW₂[1, 0] = {:.4f} · {:.4f} + {:.4f} · {:.4f} + {:.4f} · {:.4f} = {:.4f}\n",
                           dz[0][1], h[0][0], dz[1][1], h[1][0], dz[2][1], h[2][0], dW2[1][0]));
  expect_block("dx = dh W₁ =\n" + rows(dx));
  expect_block("dE =\n" + rows(dE));

  // What the gradient is for: the loss falls by rate · |gradient|², as long as the rate is small.
  double squares = 0;
  for (Parameter& parameter : parameters) {
    Array gradient = parameter.tensor.grad();
    for (int64_t i = 0; i < gradient.size(); ++i) {
      double slope = gradient.data<double>()[i];
      squares += slope * slope;
      parameter.tensor.mutable_array().mutable_data<double>()[i] -= 1e-3 * slope;
    }
  }
  double after = cross_entropy(model.forward(words), next).item();
  expect_block(
      fmt::format("|gradient|² = {:.4f}\nloss before {:.6f}, after {:.6f}: down by {:.6f}, expected {:.6f}\n",
                  squares, by_hand, after, by_hand - after, 1e-3 * squares));
}

TEST(DocsBackprop, ExplainOnTheToyModel) {
  Array words = Array::from(std::vector<int32_t>{0, 1, 2}), next = Array::from(std::vector<int32_t>{1, 2, 3});
  NextWordModel model(4, Initializer::fan_in(1, DType::f64));
  KeepValues keep;
  Tensor loss = cross_entropy(model.forward(words), next);
  std::string lines = explain(loss);
  expect_block(lines);
}

TEST(DocsBackprop, ExplainOnAnExpression) {
  KeepValues keep;  // without it, values that no gradient needs are freed early and print as "freed"
  Tensor x = Tensor::parameter(Array::from(std::vector<double>{3, 0, -4}));
  Tensor length = sum(sqrt(x * x));  // |x₀| + |x₁| + |x₂|, a clumsy way
  std::string lines = explain(length);
  expect_block(lines);
}

// Compares two messages: the words exactly, the numbers to 6 digits, because the last ones are rounding
// errors that differ between machines.
void expect_same_message(const std::string& quoted, const std::string& actual) {
  std::istringstream a(quoted), b(actual);
  std::string word_a, word_b;
  while (a >> word_a) {
    ASSERT_TRUE(b >> word_b) << actual;
    char *end_a = nullptr, *end_b = nullptr;
    double number_a = std::strtod(word_a.c_str(), &end_a), number_b = std::strtod(word_b.c_str(), &end_b);
    bool numbers = end_a != word_a.c_str() && end_b != word_b.c_str();
    ASSERT_EQ(std::string(numbers ? end_a : word_a.c_str()), std::string(numbers ? end_b : word_b.c_str()))
        << actual;
    if (numbers) {
      ASSERT_NEAR(number_a, number_b, 1e-6 * std::abs(number_b)) << actual;
    }
  }
  ASSERT_FALSE(b >> word_b) << actual;
}

// The message that the page quotes for an operation.
void expect_quoted_message(const std::string& op, const std::string& actual) {
  std::string page = text_of("docs/backprop.md"), start = "\n[gradcheck] " + op + ": ";
  size_t begin = page.find(start);
  ASSERT_NE(begin, std::string::npos) << actual;
  ++begin;
  expect_same_message(page.substr(begin, page.find('\n', begin) - begin), actual);
}

std::string check_cross_entropy(const BackwardHooks& hooks = {}) {
  GradcheckOptions options;
  options.hooks = hooks;
  return message_of([&] {
    Array z = Array::from(std::vector<double>{1, 2, 0, -1, 0.5, 1}, {2, 3});
    Array labels = Array::from(std::vector<int32_t>{1, 0});
    gradcheck(
        "cross_entropy", [&](const std::vector<Tensor>& in) { return cross_entropy(in[0], labels); }, {z},
        options);
  });
}

std::string check_linear(const BackwardHooks& hooks = {}) {
  GradcheckOptions options;
  options.hooks = hooks;
  return message_of([&] {
    Array x = Array::from(std::vector<double>{1, 2, 3, 4}, {2, 2});
    Array W = Array::from(std::vector<double>{0.5, -1, 2, 1}, {2, 2});
    Array b = Array::from(std::vector<double>{0.1, 0.2});
    gradcheck(
        "linear", [](const std::vector<Tensor>& in) { return linear(in[0], in[1], in[2]); }, {x, W, b},
        options);
  });
}

std::string check_embedding(const std::vector<int32_t>& ids, const BackwardHooks& hooks = {}) {
  GradcheckOptions options;
  options.hooks = hooks;
  return message_of([&] {
    Array table = Array::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 2});
    gradcheck(
        "embedding", [&](const std::vector<Tensor>& in) { return embedding(in[0], Array::from(ids)); },
        {table}, options);
  });
}

TEST(DocsBackprop, NothingIsWrongBeforeTheExercises) {
  EXPECT_EQ(check_cross_entropy(), "no error");
  EXPECT_EQ(check_linear(), "no error");
  EXPECT_EQ(check_embedding({2, 0, 2}), "no error");
}

// Faults as hooks. They need the gradient of the result, which on_node tells right before.
class Fault {
 public:
  explicit Fault(std::function<void(const Array& dy, Gradients& gradients)> spoil) {
    hooks.on_node = [this](const Node& node, const Array& gradient) {
      if (!node.is_parameter) dy_ = gradient.clone();
    };
    hooks.on_returned_gradients = [this, spoil](const char*, Gradients& gradients) { spoil(dy_, gradients); };
  }
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;
  BackwardHooks hooks;

 private:
  Array dy_;
};

TEST(DocsBackprop, ExerciseOneForgetsTheOneHot) {
  Fault fault([](const Array& dy, Gradients& gradients) {
    gradients[0] = gradients[0].values.clone();
    double* dz = gradients[0].values.mutable_data<double>();
    dz[0 * 3 + 1] += dy.item() / 2;
    dz[1 * 3 + 0] += dy.item() / 2;
  });
  expect_quoted_message("cross_entropy", check_cross_entropy(fault.hooks));
}

TEST(DocsBackprop, ExerciseTwoForgetsATokenOfTheBias) {
  Fault fault([](const Array& dy, Gradients& gradients) {
    gradients[2] = Array::from(std::vector<double>{dy.item(0), dy.item(1)});
  });
  expect_quoted_message("linear", check_linear(fault.hooks));
  // No sum at all: the engine sums a gradient that has the result's shape.
  Fault no_fault([](const Array& dy, Gradients& gradients) { gradients[2] = dy; });
  EXPECT_EQ(check_linear(no_fault.hooks), "no error");
}

TEST(DocsBackprop, ExerciseThreeOverwritesInsteadOfAdding) {
  std::vector<int32_t> ids{2, 0, 2};
  auto overwrite = [&ids](const Array& dy, Gradients& gradients) {
    gradients[0] = Array::zeros({3, 2}, DType::f64);
    double* sum = gradients[0].values.mutable_data<double>();
    for (size_t i = 0; i < ids.size(); ++i)
      for (int c = 0; c < 2; ++c) sum[2 * ids[i] + c] = dy.item(static_cast<int64_t>(2 * i) + c);
  };
  Fault fault(overwrite);
  expect_quoted_message("embedding", check_embedding(ids, fault.hooks));
  // Where no id is there twice, nobody notices.
  ids = {2, 0, 1};
  Fault unnoticed(overwrite);
  EXPECT_EQ(check_embedding(ids, unnoticed.hooks), "no error");
}

// Each exercise's "-" line is in the file that the page names for it.
TEST(DocsBackprop, TheLinesToBreakAreThere) {
  std::istringstream page(text_of("docs/backprop.md"));
  int lines = 0;
  std::string file;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("<!-- break ")) file = line.substr(11, line.size() - 15);
    if (!line.starts_with("- ") || file.empty()) {
      if (line == "```") file.clear();
      continue;
    }
    std::string code = line.substr(line.find_first_not_of(' ', 1));
    EXPECT_NE(text_of(file).find(" " + code + "\n"), std::string::npos) << file << ": " << line;
    ++lines;
  }
  EXPECT_EQ(lines, 3);
}

}  // namespace
}  // namespace bertie
