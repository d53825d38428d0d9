#include "bertie/data/batches/mlm_batches.h"

#include <algorithm>

#include "bertie/autograd/error.h"

namespace bertie {

MlmBatches::MlmBatches(TokenizedLines lines, const Vocabulary& vocabulary, Masking masking,
                       int64_t batch_tokens, uint64_t seed)
    : lines_(std::move(lines)),
      vocabulary_(vocabulary),
      masking_(std::move(masking)),
      batch_tokens_(batch_tokens),
      seed_(seed) {
  BERTIE_CHECK(batch_tokens >= 1, "batch", "the tokens of a batch must be at least 1, got {}", batch_tokens);
  for (int64_t sequence = 0; sequence < lines_.size(); sequence++) {
    std::span<const int32_t> ids = lines_[sequence];
    if (std::none_of(ids.begin(), ids.end(), [&](int32_t id) { return masking_.is_ordinary(id); })) continue;
    usable_.push_back(sequence);
    tokens_ += static_cast<int64_t>(ids.size()) + 2;
  }
  BERTIE_CHECK(!usable_.empty(), "batch",
               "the text must have tokens of the vocabulary, none of its {} sequences has", lines_.size());
}

BatchPlan MlmBatches::shuffled_pass(int64_t pass) const {
  return plan_batches(lines_, shuffled(usable_, seed_, pass), batch_tokens_);
}

BatchPlan MlmBatches::ordered_pass() const { return plan_batches(lines_, usable_, batch_tokens_); }

MaskedBatch MlmBatches::batch(std::span<const int64_t> sequences, int64_t pass) const {
  return masking_.mask(make_batch(lines_, sequences, vocabulary_), pass);
}

}  // namespace bertie
