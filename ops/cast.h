// From one element type to another.
#pragma once
#include "bertie/autograd/tensor.h"

namespace bertie {

// y = x, each number the nearest of `type`; x itself where it is of that type. The gradient is cast back.
// f32, f64 or bf16. Throws on other types.
Tensor cast(const Tensor& x, DType type);

// For an operation that no step spends its time in, and whose gradient would be rounded twice if it were
// computed from what is stored in bf16: the operation in f32, and its result and gradients rounded once.
template <class Operation, class... Tensors>
Tensor by_way_of_f32(Operation operation, const Tensors&... x) {
  return cast(operation(cast(x, DType::f32)...), DType::bf16);
}

// In what x is computed in: f32 where it is bf16, else x itself.
inline Tensor unrounded(const Tensor& x) { return cast(x, compute_type(x.dtype())); }

}  // namespace bertie
