#include "bertie/nn/multi_head_attention.h"

#include "bertie/ops/attention.h"

namespace bertie {

MultiHeadAttention::MultiHeadAttention(const Options& options, Initializer& init)
    : options_(options), qkv_(add_qkv(init)), output_(add_output(init)) {}

Projection MultiHeadAttention::add_qkv(Initializer& init) {
  int64_t hidden = options_.hidden_size;
  const Names& names = options_.names;
  BERTIE_CHECK(options_.heads > 0 && hidden % options_.heads == 0, "multi_head_attention",
               "{} heads don't divide the hidden size {}", options_.heads, hidden);
  Tensor weight = add_parameter({names.query + ".weight", names.key + ".weight", names.value + ".weight"},
                                init.weight({3 * hidden, hidden}, hidden));
  return {weight, add_parameter({names.query + ".bias", names.key + ".bias", names.value + ".bias"},
                                init.bias({3 * hidden}, hidden))};
}

Projection MultiHeadAttention::add_output(Initializer& init) {
  int64_t hidden = options_.hidden_size;
  Tensor weight = add_parameter(options_.names.output + ".weight", init.weight({hidden, hidden}, hidden));
  return {weight, add_parameter(options_.names.output + ".bias", init.bias({hidden}, hidden))};
}

void MultiHeadAttention::adopt(Precision precision) {
  qkv_.set_precision(precision);
  output_.set_precision(precision);
}

Tensor MultiHeadAttention::forward(const Tensor& x, const Pass& pass) const {
  AttentionOptions attention_options{.dropout = {}, .causal = options_.causal};
  if (training() && options_.dropout_rate > 0)
    attention_options.dropout = {options_.dropout_rate, pass.seed, pass.step, site()};
  Tensor context = attention(qkv_.forward(x), pass.packing, options_.heads, attention_options);
  return output_.forward(context);
}

}  // namespace bertie
