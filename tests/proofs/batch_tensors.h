// Batches of bertie's in files that bench/packed_batch.py can read.
#pragma once
#include <string>
#include <vector>

#include "bertie/data/batches/masking.h"
#include "bertie/data/files/safetensors.h"

namespace bertie {

// Adds PREFIX.ids i32 [T], PREFIX.offsets i64 [N+1], PREFIX.scored_rows i64 [M], PREFIX.labels i32 [M] and,
// where the batch has them, PREFIX.token_type_ids i32 [T] and PREFIX.next_sentence_labels i32 [N].
inline void add_batch(std::vector<NamedArray>& tensors, const std::string& prefix, const MaskedBatch& batch) {
  auto add = [&](const char* name, const Array& array) {
    if (array) tensors.push_back({prefix + "." + name, array});
  };
  add("ids", batch.tokens.ids);
  add("token_type_ids", batch.tokens.token_type_ids);
  add("offsets", Array::from(batch.tokens.offsets));
  add("scored_rows", batch.scored_rows);
  add("labels", batch.labels);
  add("next_sentence_labels", batch.next_sentence_labels);
}

}  // namespace bertie
