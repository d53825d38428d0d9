// Sequences to batches, by a budget of tokens. Batches are packed: all tokens in a row, no padding.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bertie/autograd/array.h"
#include "bertie/data/batches/tokenized_lines.h"

namespace bertie {

// T tokens of N sequences; sequence n is rows [offsets[n], offsets[n + 1]).
struct TokenBatch {
  Array ids;                       // [T] i32
  Array token_type_ids;            // [T] i32, or none: all are 0
  std::vector<int64_t> offsets;    // [N + 1]
  std::vector<int64_t> sequences;  // [N], which ones of all these are
  int64_t first_sequence = 0;  // place of the first one in the whole step's batch, where this is a part of it

  int64_t tokens() const { return offsets.back(); }
};

// Which sequences form which batch: batch b is order[offsets[b]] … order[offsets[b + 1] − 1].
struct BatchPlan {
  std::vector<int64_t> order;
  std::vector<int64_t> offsets = {0};

  int64_t size() const { return static_cast<int64_t>(offsets.size()) - 1; }
  std::span<const int64_t> operator[](int64_t batch) const {
    BERTIE_CHECK(batch >= 0 && batch < size(), "batch", "there are {} batches, asked for number {}", size(),
                 batch);
    return std::span(order).subspan(offsets[batch], offsets[batch + 1] - offsets[batch]);
  }
};

// The order for one pass over the data: a permutation of `sequences`, a function of (sequences, seed, pass)
// alone.
std::vector<int64_t> shuffled(std::vector<int64_t> sequences, uint64_t seed, int64_t pass);

// Fills batch after batch in the given order with as many sequences as `batch_tokens` allows, [CLS] and [SEP]
// counted. A sequence that is longer than that makes a batch of its own. Throws where batch_tokens is below 1
// or a sequence doesn't exist.
BatchPlan plan_batches(const TokenizedLines& lines, std::vector<int64_t> order, int64_t batch_tokens);
// The same for sequences of the given lengths, of at least one token: lengths[i] is that of order[i]. Throws,
// too, where one has none.
BatchPlan plan_batches(std::vector<int64_t> order, std::span<const int64_t> lengths, int64_t batch_tokens);

// The logical parts of a step's batch: as many batches as `parts` says, of consecutive sequences, so that
// each boundary is the one between two sequences which is nearest to where equal shares of the tokens have
// it. No part has more than its share and the longest sequence together. Where there are fewer sequences than
// parts, some parts are empty; else none is. Throws where `parts` is below 1 or a sequence has no token.
BatchPlan plan_parts(std::vector<int64_t> order, std::span<const int64_t> lengths, int64_t parts);

// [CLS] … [SEP] of each sequence. Throws where there is none or one doesn't exist.
TokenBatch make_batch(const TokenizedLines& lines, std::span<const int64_t> sequences,
                      const Vocabulary& vocabulary);

}  // namespace bertie
