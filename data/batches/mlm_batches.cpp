#include "bertie/data/batches/mlm_batches.h"

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/autograd/random.h"

namespace bertie {
namespace {

constexpr uint64_t spread_stream = 0x73707264;  // "sprd"; separates this use of the seed from others

}  // namespace

MlmBatches::MlmBatches(TokenizedLines lines, const Vocabulary& vocabulary, Masking masking,
                       int64_t batch_tokens, uint64_t seed)
    : lines_(std::move(lines)),
      vocabulary_(vocabulary),
      masking_(std::move(masking)),
      batch_tokens_(batch_tokens),
      seed_(seed) {
  BERTIE_CHECK(batch_tokens >= 1, "batch", "the tokens of a batch must be at least 1, got {}", batch_tokens);
  usable_.reserve(static_cast<size_t>(lines_.size()));
  for (int64_t sequence = 0; sequence < lines_.size(); sequence++) {
    std::span<const int32_t> ids = lines_[sequence];
    auto scorable =
        std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return masking_.is_ordinary(id); });
    if (scorable == 0) continue;
    usable_.push_back(sequence);
    scorable_tokens_ += scorable;
    tokens_ += static_cast<int64_t>(ids.size()) + 2;
  }
  BERTIE_CHECK(!usable_.empty(), "batch",
               "the text must have tokens of the vocabulary, none of its {} sequences has", lines_.size());
}

BatchPlan MlmBatches::shuffled_pass(int64_t pass) const {
  return plan_batches(lines_, shuffled(usable_, seed_, pass), batch_tokens_);
}

BatchPlan MlmBatches::ordered_pass() const { return plan_batches(lines_, usable_, batch_tokens_); }

BatchPlan MlmBatches::spread_pass(int64_t count) const {
  BERTIE_CHECK(count >= 1 && count <= sequences(), "batch",
               "there are {} sequences to draw from, asked for {}", sequences(), count);
  Random random(seed_, spread_stream);
  std::vector<int64_t> drawn;
  for (int64_t i = 0; i < count; ++i) {
    int64_t begin = sequences() * i / count, end = sequences() * (i + 1) / count;
    drawn.push_back(usable_[begin + static_cast<int64_t>(random.below(end - begin))]);
  }
  return plan_batches(lines_, std::move(drawn), batch_tokens_);
}

int64_t MlmBatches::begin_pass(int64_t pass) {
  plan_ = shuffled_pass(pass);
  pass_ = pass;
  return plan_.size();
}

MaskedBatch MlmBatches::batch(int64_t index) const { return batch(plan_[index], pass_); }

MaskedBatch MlmBatches::batch(std::span<const int64_t> sequences, int64_t pass) const {
  return masking_.mask(make_batch(lines_, sequences, vocabulary_), pass);
}

}  // namespace bertie
