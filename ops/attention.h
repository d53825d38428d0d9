#pragma once
#include "bertie/ops/dropout.h"

namespace bertie {

struct AttentionOptions {
  DropoutMask dropout = {};
  bool causal = false;
};

// Self-attention within each sequence of a packed batch (Vaswani et al., "Attention is all you need", 2017,
// section 3.2.1), for all heads:
//   y = dropout(softmax(Q Kᵀ / √D)) V    of one head and one sequence: Q, K, V, y [S, D]
// qkv [T, 3H] → y [T, H]. A row of qkv is a token's query, key and value, each of them H = A · D numbers,
// head after head; in y, too, the heads lie side by side. Row t belongs to a sequence of `packing` and
// attends to that sequence's tokens alone.
//
// Causal: token i of a sequence attends to its tokens 0 … i alone, so that y of a token doesn't depend on
// what follows (as in models that predict the next token; section 3.2.3).
//
// Dropout removes probabilities: that of query i for key j of head a depends on (seed, step, site,
// first_sequence + sequence, i, a, j). Rate 0: none.
//
// No matrix of probabilities outlives its task: the backward pass computes them again from the logarithm of
// each row's sum, kept as [T, A].
//
// f32 or f64. Throws where qkv isn't [T, 3H], `heads` doesn't divide H, `packing` doesn't fit T, or the rate
// isn't in 0 ≤ rate < 1.
Tensor attention(const Tensor& qkv, const Packing& packing, int64_t heads,
                 const AttentionOptions& options = {});

}  // namespace bertie
