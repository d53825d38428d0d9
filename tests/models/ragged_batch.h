// A batch of sequences of unequal lengths with labels for every head, drawn from a seed.
#pragma once
#include <algorithm>

#include "bertie/autograd/random.h"
#include "bertie/models/bert.h"

namespace bertie {

struct RaggedBatch {
  // Two segments each; every sixth token is to be predicted. Of a step's batch it is what follows sequence
  // `first_sequence`.
  RaggedBatch(const std::vector<int64_t>& lengths, int64_t words, uint64_t seed, int64_t first_sequence = 0) {
    std::vector<int32_t> ids, types, all_tags, two_labels, from, to;
    std::vector<int64_t> predicted;
    std::vector<int32_t> predicted_words;
    Packing& packing = input.pass.packing;
    packing.first_sequence = first_sequence;
    for (size_t n = 0; n < lengths.size(); ++n) {
      auto length = static_cast<int32_t>(lengths[n]);
      Random random(seed, static_cast<uint64_t>(first_sequence) + n);
      auto below = [&](int64_t count) {
        return static_cast<int32_t>(random.below(static_cast<uint64_t>(count)));
      };
      for (int32_t t = 0; t < length; ++t) {
        if (t % 6 == 2) {
          predicted.push_back(static_cast<int64_t>(ids.size()));
          predicted_words.push_back(below(words));
        }
        ids.push_back(below(words));
        types.push_back(2 * t < length ? 0 : 1);
        all_tags.push_back(t % 5 == 4 ? -100 : below(3));
      }
      two_labels.push_back(below(2));
      from.push_back(below(length));
      to.push_back(std::min(length - 1, from.back() + below(4)));
      packing.offsets.push_back(static_cast<int64_t>(ids.size()));
    }
    input.ids = Array::from(ids);
    input.token_type_ids = Array::from(types);
    rows = Array::from(predicted);
    true_words = Array::from(predicted_words);
    tags = Array::from(all_tags);
    labels = Array::from(two_labels);
    starts = Array::from(from);
    ends = Array::from(to);
  }

  BertInput input;
  Array rows, true_words;  // tokens to predict, and what they are
  Array tags, labels;      // 0 … 2 or -100 of each token, 0 or 1 of each sequence
  Array starts, ends;      // a place in each sequence
};

}  // namespace bertie
