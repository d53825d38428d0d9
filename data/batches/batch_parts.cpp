#include "bertie/data/batches/batch_parts.h"

#include <algorithm>

namespace bertie {
namespace {

// Sequences begin … end − 1 of the batch.
MaskedBatch part_of(const MaskedBatch& batch, int64_t begin, int64_t end) {
  const TokenBatch& whole = batch.tokens;
  int64_t first = whole.offsets[begin], last = whole.offsets[end];
  MaskedBatch part;
  part.tokens.ids = whole.ids.rows(first, last);
  if (whole.token_type_ids) part.tokens.token_type_ids = whole.token_type_ids.rows(first, last);
  for (int64_t n = begin; n <= end; ++n) part.tokens.offsets.push_back(whole.offsets[n] - first);
  part.tokens.sequences.assign(whole.sequences.begin() + begin, whole.sequences.begin() + end);
  part.tokens.first_sequence = whole.first_sequence + begin;

  const int64_t* rows = batch.scored_rows.data<int64_t>();
  const int64_t* rows_end = rows + batch.scored_rows.size();
  const int64_t *from = std::lower_bound(rows, rows_end, first), *to = std::lower_bound(from, rows_end, last);
  std::vector<int64_t> scored_rows(from, to);
  for (int64_t& row : scored_rows) row -= first;
  part.scored_rows = Array::from(scored_rows);
  part.labels = batch.labels.rows(from - rows, to - rows);
  if (batch.next_sentence_labels) part.next_sentence_labels = batch.next_sentence_labels.rows(begin, end);
  return part;
}

std::vector<int64_t> lengths_of(const TokenBatch& batch) {
  std::vector<int64_t> lengths;
  for (size_t n = 1; n < batch.offsets.size(); ++n)
    lengths.push_back(batch.offsets[n] - batch.offsets[n - 1]);
  return lengths;
}

std::vector<MaskedBatch> parts_of(const MaskedBatch& batch, const BatchPlan& plan) {
  if (plan.size() == 1) return {batch};
  std::vector<MaskedBatch> parts;
  for (int64_t p = 0; p < plan.size(); ++p)
    parts.push_back(part_of(batch, plan.offsets[p], plan.offsets[p + 1]));
  return parts;
}

}  // namespace

std::vector<MaskedBatch> cut_batch(const MaskedBatch& batch, int64_t parts) {
  return parts_of(batch, plan_parts(batch.tokens.sequences, lengths_of(batch.tokens), parts));
}

std::vector<MaskedBatch> split_batch(const MaskedBatch& batch, int64_t max_tokens) {
  return parts_of(batch, plan_batches(batch.tokens.sequences, lengths_of(batch.tokens), max_tokens));
}

}  // namespace bertie
