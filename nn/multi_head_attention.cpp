#include "bertie/nn/multi_head_attention.h"

#include "bertie/ops/attention.h"
#include "bertie/ops/matmul.h"

namespace bertie {

MultiHeadAttention::MultiHeadAttention(const Options& options, Initializer& init) : options_(options) {
  int64_t hidden = options.hidden_size;
  const Names& names = options.names;
  BERTIE_CHECK(options.heads > 0 && hidden % options.heads == 0, "multi_head_attention",
               "{} heads don't divide the hidden size {}", options.heads, hidden);
  qkv_weight_ = add_parameter({names.query + ".weight", names.key + ".weight", names.value + ".weight"},
                              init.weight({3 * hidden, hidden}, hidden));
  qkv_bias_ = add_parameter({names.query + ".bias", names.key + ".bias", names.value + ".bias"},
                            init.bias({3 * hidden}, hidden));
  output_weight_ = add_parameter(names.output + ".weight", init.weight({hidden, hidden}, hidden));
  output_bias_ = add_parameter(names.output + ".bias", init.bias({hidden}, hidden));
}

Tensor MultiHeadAttention::forward(const Tensor& x, const Pass& pass) const {
  AttentionOptions attention_options{.dropout = {}, .causal = options_.causal};
  if (training() && options_.dropout_rate > 0)
    attention_options.dropout = {options_.dropout_rate, pass.seed, pass.step, site()};
  Tensor context =
      attention(linear(x, qkv_weight_, qkv_bias_), pass.packing, options_.heads, attention_options);
  return linear(context, output_weight_, output_bias_);
}

}  // namespace bertie
