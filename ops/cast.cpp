#include "bertie/ops/cast.h"

namespace bertie {

Tensor cast(const Tensor& x, DType type) {
  check_value("cast", x);
  for (DType each : {x.dtype(), type})
    BERTIE_CHECK(each == DType::f32 || each == DType::f64 || each == DType::bf16, "cast",
                 "is from f32, f64 or bf16 to one of them: {} to {}", name(x.dtype()), name(type));
  if (x.dtype() == type) return x;
  return record("cast", x.array().cast(type), {x},
                [from = x.dtype()](Array dy, const Needs&) -> Gradients { return {dy.cast(from)}; });
}

}  // namespace bertie
