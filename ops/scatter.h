// Rows out of a table, and back into it: what embedding and select_rows share.
#pragma once
#include "autograd/array.h"

namespace bertie {

// y[i] = table[ids[i]]    table [R, …] f32 or f64, ids [M] i32 or i64 → y [M, …]. Throws, naming `op`, the
// position and the id, where an id isn't in 0 … R-1.
Array gather_rows(const char* op, const Array& table, const Array& ids);

// Its gradient: sum[r] = Σ over all i with ids[i] = r of rows[i], added in the order of i; the other rows are
// zero. rows [M, …], ids [M] as above → [R, …] = `shape`.
Array scatter_rows(const char* op, const Array& rows, const Array& ids, const Shape& shape);

}  // namespace bertie
