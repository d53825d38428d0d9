#include "bertie/nn/projection.h"

namespace bertie {

Tensor Projection::forward(const Tensor& x, InputFunction f) const {
  return packed_ ? linear(x, packed_, bias_, f) : linear(x, weight_, bias_, f);
}

void Projection::set_precision(Precision precision) {
  bool packs = precision != Precision::of_parameters && precision != Precision::bf16;
  DType type = precision == Precision::packed_f32    ? DType::f32
               : precision == Precision::packed_bf16 ? DType::bf16
                                                     : DType::i8;
  if (packed_) {
    BERTIE_CHECK(packs && packed_.dtype() == type, "precision",
                 "a weight that was packed in {} can't become {}: load the model anew", name(packed_.dtype()),
                 name(precision));
    return;
  }
  if (!packs) return;
  PackedWeight packed(weight_.array(), type);
  weight_.release();  // may throw
  packed_ = std::move(packed);
}

}  // namespace bertie
