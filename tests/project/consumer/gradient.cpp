// The lower half of bertie alone: from a tensor to its gradient.
#include <cstdio>

#include <bertie/autograd/backward.h>
#include <bertie/autograd/tensor.h>
#include <bertie/ops/matmul.h>
#include <bertie/ops/reduce.h>

int main() {
  using namespace bertie;
  Tensor x = Array::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2});
  Tensor W = Tensor::parameter(Array::zeros({1, 2}, DType::f32));
  Tensor b = Tensor::parameter(Array::zeros({1}, DType::f32));
  backward(sum(linear(x, W, b)));
  Array gradient = W.grad();
  std::printf("dW = [%g, %g], db = %g\n", gradient.item(0), gradient.item(1), b.grad().item(0));
  return 0;
}
