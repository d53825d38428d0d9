#pragma once
#include "bertie/nn/initializer.h"
#include "bertie/nn/module.h"
#include "bertie/nn/projection.h"

namespace bertie {

// Self-attention with several heads over packed sequences (Vaswani et al., 2017, section 3.2.2):
//   x [T, H] → attention(x W_qkvᵀ + b) W_oᵀ + b_o    [T, H]
// Query, key and value weights are one parameter [3H, H], so that one product serves them; files see three.
class MultiHeadAttention : public Layer {
 public:
  // What the four linear maps are called in files.
  struct Names {
    std::string query = "query", key = "key", value = "value", output = "output";
  };
  struct Options {
    int64_t hidden_size;
    int64_t heads;            // divides hidden_size
    double dropout_rate = 0;  // of the attention probabilities, in train mode
    Names names = {};
    bool causal = false;  // a token attends to itself and those before it alone
  };
  MultiHeadAttention(const Options& options, Initializer& init);
  Tensor forward(const Tensor& x, const Pass& pass) const override;

 protected:
  void adopt(Precision precision) override;

 private:
  Projection add_qkv(Initializer& init);
  Projection add_output(Initializer& init);

  Options options_;
  Projection qkv_, output_;
};

}  // namespace bertie
