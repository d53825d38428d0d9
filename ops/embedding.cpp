#include "bertie/ops/embedding.h"

#include "bertie/ops/gather.h"

namespace bertie {

Tensor embedding(const Tensor& table, const Array& ids) {
  check_value("embedding", table);
  BERTIE_CHECK(table.shape().rank() == 2, "embedding", "the table must be [V, H], got {}", table.shape());
  Array y = gather_rows("embedding", table.array(), ids);  // before ids.clone(): it checks them
  return record("embedding", y, {table},
                [ids = ids.clone()](Array dy, const Needs&) -> Gradients { return {Gradient(dy, ids)}; });
}

}  // namespace bertie
