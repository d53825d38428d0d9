#include "bertie/ops/gather.h"

#include <algorithm>
#include <cstring>

#include "bertie/autograd/accumulate.h"
#include "bertie/autograd/threads.h"

namespace bertie {

Array gather_rows(const char* op, const Array& table, const Array& ids) {
  std::vector<int64_t> index = row_ids(op, ids, table.shape()[0]);
  Array y = Array::empty(table.shape().with(0, ids.size()), table.dtype());
  int64_t row = index.empty() ? 0 : y.bytes() / ids.size();
  const char* from = static_cast<const char*>(table.bytes_begin());
  char* to = static_cast<char*>(y.mutable_bytes());
  parallel_ranges(ids.size(), std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(row, 1)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i)
                      std::memcpy(to + i * row, from + index[i] * row, row);
                  });
  return y;
}

}  // namespace bertie
