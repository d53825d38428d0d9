#include "bertie/nn/projection.h"

namespace bertie {

Tensor Projection::forward(const Tensor& x, InputFunction f) const {
  return quantized_ ? linear(x, quantized_, bias_, f) : linear(x, weight_, bias_, f);
}

void Projection::set_precision(Precision precision) {
  bool rounds = precision == Precision::int8 || precision == Precision::bf16_weights;
  DType type = precision == Precision::int8 ? DType::i8 : DType::bf16;
  if (quantized_) {
    BERTIE_CHECK(rounds && quantized_.dtype() == type, "precision",
                 "a weight that was rounded to {} can't become {}: load the model anew",
                 name(quantized_.dtype()), name(precision));
    return;
  }
  if (!rounds) return;
  QuantizedWeight quantized(weight_.array(), type);
  weight_.release();  // may throw
  quantized_ = std::move(quantized);
}

}  // namespace bertie
