#include "bertie/nn/layers.h"

#include "bertie/ops/dropout.h"
#include "bertie/ops/elementwise.h"
#include "bertie/ops/embedding.h"
#include "bertie/ops/layer_norm.h"
#include "bertie/ops/matmul.h"

namespace bertie {

Linear::Linear(int64_t in, int64_t out, Initializer& init, bool with_bias)
    : projection_{add_parameter("weight", init.weight({out, in}, in)),  // braces: this before the bias
                  with_bias ? add_parameter("bias", init.bias({out}, in)) : Tensor()} {}

Tensor Linear::forward(const Tensor& x, const Pass&) const { return projection_.forward(x); }

Tensor Linear::forward_of(const Activation& f, const Tensor& x) const {
  if (f.as_input_ == InputFunction::identity) return forward(f.forward(x));
  return projection_.forward(x, f.as_input_);
}

Embedding::Embedding(int64_t rows, int64_t width, Initializer& init)
    : weight_(add_parameter("weight", init.embedding({rows, width}))) {}

Tensor Embedding::forward(const Array& ids) const { return embedding(weight_, ids); }

LayerNorm::LayerNorm(int64_t width, double epsilon, Initializer& init)
    : epsilon_(epsilon),
      weight_(add_parameter("weight", init.constant({width}, 1))),
      bias_(add_parameter("bias", init.constant({width}, 0))) {}

Tensor LayerNorm::forward(const Tensor& x, const Pass&) const {
  return layer_norm(x, weight_, bias_, epsilon_);
}

Dropout::Dropout(double rate) : rate_(rate) {
  BERTIE_CHECK(rate >= 0 && rate <= 1, "dropout", "the dropout rate must be in 0 … 1, got {}", rate);
}

Tensor Dropout::forward(const Tensor& x, const Pass& pass) const {
  if (!training() || rate_ == 0) return x;
  return dropout(x, pass.packing, {rate_, pass.seed, pass.step, site()});
}

Activation::Activation(const std::string& name) {
  if (name == "gelu") {
    function_ = gelu;
    as_input_ = InputFunction::gelu;
  } else if (name == "gelu_new") {
    function_ = gelu_tanh;
    as_input_ = InputFunction::gelu_tanh;
  } else if (name == "relu")
    function_ = relu;
  else if (name == "silu")
    function_ = silu;
  else if (name == "tanh")
    function_ = bertie::tanh;
  else if (name == "sigmoid")
    function_ = sigmoid;
  else
    fail("activation", "must be gelu, gelu_new, relu, silu, tanh or sigmoid, got '{}'", name);
}

}  // namespace bertie
