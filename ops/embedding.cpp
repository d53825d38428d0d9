#include "ops/embedding.h"

#include "ops/gather.h"

namespace bertie {

Tensor embedding(const Tensor& table, const Array& ids) {
  check(table.shape().rank() == 2, "embedding", "the table must be [V, H], got {}", table.shape());
  return record("embedding", gather_rows("embedding", table.array(), ids), {table},
                [ids = ids.clone()](Array dy, const Needs&) -> Gradients { return {Gradient(dy, ids)}; });
}

}  // namespace bertie
