#include "bertie/autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "bertie/autograd/random.h"

namespace bertie {
namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

// Σ y · dy, added with compensation (Neumaier, 1974): the differences of such sums are small.
double weighted_sum(const Array& y, const Array& dy) {
  double sum = 0, lost = 0;
  const double *a = y.data<double>(), *b = dy.data<double>();
  for (int64_t i = 0; i < y.size(); ++i) {
    double term = a[i] * b[i], next = sum + term;
    lost += std::abs(sum) >= std::abs(term) ? (sum - next) + term : (term - next) + sum;
    sum = next;
  }
  return sum + lost;
}

double numeric_gradient(const Function& f, const std::vector<Tensor>& inputs, size_t input, int64_t element,
                        const Array& dy, double step) {
  Tensor changed = inputs[input];
  Array value = changed.mutable_array();
  double x = value.data<double>()[element], h = step * std::max(1.0, std::abs(x));
  auto at = [&](double shifted) {
    value.mutable_data<double>()[element] = shifted;
    return weighted_sum(f(inputs).array(), dy);
  };
  NoGrad no_grad;
  double near = at(x + h) - at(x - h), far = at(x + 2 * h) - at(x - 2 * h);
  value.mutable_data<double>()[element] = x;
  return (8 * near - far) / (12 * h);
}

}  // namespace

void gradcheck(const std::string& name, const Function& f, const std::vector<Array>& inputs,
               const GradcheckOptions& options) {
  std::vector<Tensor> parameters;
  for (const Array& input : inputs) {
    BERTIE_CHECK(input && input.dtype() == DType::f64, "gradcheck", "{}: inputs must be f64", name);
    parameters.push_back(Tensor::parameter(input.clone()));
  }
  Tensor y = f(parameters);
  Array dy = Array::empty(y.shape(), DType::f64);
  Random random(options.seed);
  for (double *p = dy.mutable_data<double>(), *end = p + dy.size(); p != end; ++p) *p = random.normal();
  backward(y, dy.clone(), options.hooks);
  y = Tensor();

  for (size_t i = 0; i < parameters.size(); ++i) {
    Array grad = parameters[i].grad();
    BERTIE_CHECK(static_cast<bool>(grad), "gradcheck", "{}: no gradient reached input {}", name, i);
    std::vector<double> analytic = grad.to_vector<double>(), numeric(analytic.size());
    double largest = 0;
    for (size_t k = 0; k < numeric.size(); ++k) {
      numeric[k] = numeric_gradient(f, parameters, i, static_cast<int64_t>(k), dy, options.step);
      largest = std::max({largest, std::abs(numeric[k]), std::abs(analytic[k])});
    }
    for (size_t k = 0; k < numeric.size(); ++k) {
      double scale = std::max({std::abs(analytic[k]), std::abs(numeric[k]), 0.01 * largest});
      double error = std::abs(analytic[k] - numeric[k]);
      BERTIE_CHECK(error <= options.tolerance * scale, "gradcheck",
                   "{}: input {}, element {}: analytic {:.12g}, numeric {:.12g}, relative error {:.3g}", name,
                   i, k, analytic[k], numeric[k], scale > 0 ? error / scale : error);
    }
  }
}

}  // namespace bertie
