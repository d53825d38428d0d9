// Loops over the elements of a batch of matrices, cut into tasks.
#pragma once
#include <algorithm>
#include <cstdint>

#include "bertie/autograd/threads.h"

namespace bertie {

constexpr int64_t matrix_piece = 1 << 15;  // elements per task

// Of a matrix of `size` elements.
inline int64_t pieces_of(int64_t size) { return (size + matrix_piece - 1) / matrix_piece; }

// visit(p, matrix, from, to) for each piece of each of `count` matrices of `size` elements; p counts them
// all.
template <class Visit>
void visit_pieces(int64_t count, int64_t size, Visit&& visit) {
  int64_t pieces = pieces_of(size);
  parallel_tasks(count * pieces, [&](int64_t p) {
    int64_t from = p % pieces * matrix_piece;
    visit(p, p / pieces, from, std::min(size, from + matrix_piece));
  });
}

}  // namespace bertie
