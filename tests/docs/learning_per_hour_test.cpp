// docs/learning_per_hour.md: its example is computed here, once by plain arithmetic and once by what Muon
// computes with.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "bertie/data/files/mapped_file.h"
#include "bertie/nn/orthogonalized.h"

namespace bertie {
namespace {

// Row 1 has the length 1, row 2 the length 0.1, and they are at right angles.
constexpr std::array<std::array<double, 2>, 2> gradient{{{0.8, 0.6}, {-0.06, 0.08}}};

std::string two_rows(const std::array<std::array<double, 2>, 2>& x) {
  std::string text;
  for (const auto& row : x) text += fmt::format("{:9.4f}{:9.4f}\n", row[0], row[1]);
  return text;
}

// All of A, P and Q are diagonal here: two numbers each.
TEST(DocsLearningPerHour, TheExampleIsWhatItSays) {
  std::array<double, 2> a{}, q{1, 1};
  for (size_t i = 0; i < 2; ++i)
    for (double x : gradient[i]) a[i] += x * x;
  double frobenius = std::sqrt(a[0] + a[1]), norm = std::pow(std::pow(a[0], 4) + std::pow(a[1], 4), 0.125);
  std::string block = "G =\n" + two_rows(gradient);
  block += fmt::format("singular values {:.4f} and {:.4f}; norm {:.4f} (Frobenius's: {:.4f})\n",
                       std::sqrt(a[0]), std::sqrt(a[1]), norm, frobenius);
  for (size_t i = 0; i < 2; ++i) a[i] /= norm * norm, q[i] /= norm;
  for (size_t step = 0; step < two_iterations.iterations.size(); ++step) {
    const auto& [center, coefficients] = two_iterations.iterations[step];
    std::array<double, 2> p{};
    for (size_t i = 0; i < 2; ++i)
      for (size_t k = coefficients.size(); k-- > 0;) p[i] = p[i] * (a[i] - center) + coefficients[k];
    block += fmt::format("iteration {}: A = diag({:.4f}, {:.4f})  P = diag({:.4f}, {:.4f})", step + 1, a[0],
                         a[1], p[0], p[1]);
    for (size_t i = 0; i < 2; ++i) q[i] *= p[i], a[i] *= p[i] * p[i];
    block += fmt::format("  Q = diag({:.4f}, {:.4f})\n", q[0], q[1]);
  }
  std::array<std::array<double, 2>, 2> result{};
  for (size_t i = 0; i < 2; ++i)
    for (size_t j = 0; j < 2; ++j) result[i][j] = q[i] * gradient[i][j];
  block += "Q G =\n" + two_rows(result);
  block += fmt::format("singular values {:.4f} and {:.4f}\n", std::sqrt(a[0]), std::sqrt(a[1]));

  std::string page = read_file(BERTIE_SOURCE_DIR "/docs/learning_per_hour.md");
  EXPECT_NE(page.find("\n```text\n" + block + "```\n"), std::string::npos) << block;
  std::vector<double> computed =
      orthogonalized(Array::from(std::vector<double>{0.8, 0.6, -0.06, 0.08}).reshape({1, 2, 2}), DType::f64,
                     two_iterations)
          .to_vector<double>();
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(computed[i], result[i / 2][i % 2], 1e-12);
}

}  // namespace
}  // namespace bertie
