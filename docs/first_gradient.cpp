#include <cstdio>

#include <bertie/autograd/backward.h>
#include <bertie/ops/loss.h>
#include <bertie/ops/matmul.h>

using namespace bertie;

int main() {
  // Four points of y = 2 x₁ − 3 x₂ + 1, and a linear map that doesn't know it yet.
  Tensor x = Array::from(std::vector<float>{0, 0, 1, 0, 0, 1, 1, 1}, {4, 2});
  Tensor y = Array::from(std::vector<float>{1, 3, -2, 0}, {4, 1});
  Tensor W = Tensor::parameter(Array::zeros({1, 2}, DType::f32));
  Tensor b = Tensor::parameter(Array::zeros({1}, DType::f32));
  for (int step = 0; step <= 60; ++step) {
    Tensor loss = mean_squared_error(linear(x, W, b), y);
    if (step % 20 == 0) std::printf("step %2d: loss %.4f\n", step, loss.item());
    backward(loss);
    for (Tensor parameter : {W, b}) {
      Array gradient = parameter.grad();
      for (int64_t i = 0; i < gradient.size(); ++i)
        parameter.mutable_array().mutable_data<float>()[i] -= 0.2f * gradient.data<float>()[i];
      parameter.zero_grad();
    }
  }
  std::printf("W = [%.2f, %.2f], b = %.2f\n", W.array().item(0), W.array().item(1), b.item());
  return 0;
}
