// Rows out of a table: what embedding and select_rows share.
#pragma once
#include "bertie/autograd/array.h"

namespace bertie {

// y[i] = table[ids[i]]    table [R, …], ids [M] i32 or i64 → y [M, …]. Throws, naming `op`, the position and
// the id, where an id isn't in 0 … R-1.
Array gather_rows(const char* op, const Array& table, const Array& ids);

}  // namespace bertie
