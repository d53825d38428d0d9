#include "bertie/nn/projection.h"

namespace bertie {

Tensor Projection::forward(const Tensor& x, InputFunction f) const {
  return quantized_ ? linear(x, quantized_, bias_, f) : linear(x, weight_, bias_, f);
}

void Projection::set_precision(Precision precision) {
  if (precision != Precision::int8) {
    BERTIE_CHECK(!quantized_, "precision", "of a weight in int8 there are no numbers in {}: load the model anew",
                 name(precision));
    return;
  }
  if (quantized_) return;
  quantized_ = QuantizedWeight(weight_.array());
  weight_.release();
}

}  // namespace bertie
