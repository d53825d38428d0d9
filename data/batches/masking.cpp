#include "bertie/data/batches/masking.h"

#include <algorithm>
#include <limits>

#include "bertie/autograd/error.h"
#include "bertie/autograd/random.h"

namespace bertie {
namespace {

constexpr uint64_t masking_stream = 0x6d61736b;  // "mask"; separates this use of the seed from others

// Probabilities in units of 2^-32, to compare 32 random bits with.
constexpr double unit = 0x1p32;
constexpr double masked_below = Masking::hidden * unit,
                 replaced_below = (Masking::hidden + Masking::replaced) * unit;

// 64 random bits scaled to 0 … bound − 1.
size_t scale(uint32_t high, uint32_t low, uint64_t bound) {
  return (high * bound + (low * bound >> 32)) >> 32;
}

}  // namespace

std::vector<bool> ordinary_tokens(const Vocabulary& vocabulary) {
  std::vector<bool> ordinary(static_cast<size_t>(vocabulary.size()));
  for (int32_t id = 0; id < vocabulary.size(); id++) ordinary[id] = !vocabulary.is_special(id);
  return ordinary;
}

std::vector<bool> continuing_tokens(const Vocabulary& vocabulary) {
  std::vector<bool> continuing;
  for (const std::string& token : vocabulary.tokens())
    continuing.push_back(token.starts_with(continuation_prefix));
  return continuing;
}

Masking::Masking(std::vector<bool> ordinary, int32_t mask_id, uint64_t seed, MaskingOptions options)
    : ordinary_(std::move(ordinary)), mask_id_(mask_id), seed_(seed), options_(std::move(options)) {
  auto size = static_cast<int64_t>(ordinary_.size());
  BERTIE_CHECK(size <= std::numeric_limits<int32_t>::max(), "masking", "ids have 32 bits, {} need more",
               size);
  BERTIE_CHECK(mask_id >= 0 && mask_id < size, "masking", "the id of [MASK] must be one of {}, got {}", size,
               mask_id);
  BERTIE_CHECK(options_.probability >= 0.01 && options_.probability <= 1, "masking",
               "the probability must be in 0.01 … 1, got {}", options_.probability);
  BERTIE_CHECK(options_.continues_word.empty() || options_.continues_word.size() == ordinary_.size(),
               "masking", "continues_word must say it of each of {} ids, got {}", size,
               options_.continues_word.size());
  for (int32_t id = 0; id < size; id++) {
    if (ordinary_[id]) ordinary_ids_.push_back(id);
  }
  BERTIE_CHECK(!ordinary_ids_.empty(), "masking",
               "a vocabulary must have ordinary tokens, all of these {} are special", size);
}

bool Masking::is_ordinary(int32_t id) const {
  BERTIE_CHECK(id >= 0 && static_cast<size_t>(id) < ordinary_.size(), "masking",
               "token ids must be below {}, got {}", ordinary_.size(), id);
  return ordinary_[id];
}

MaskedBatch Masking::mask(TokenBatch batch, int64_t pass) const {
  const int32_t* ids = batch.ids.data<int32_t>();
  BERTIE_CHECK(batch.offsets.size() == batch.sequences.size() + 1 && batch.tokens() == batch.ids.size(),
               "masking",
               "a batch must have N sequences, N + 1 offsets and ids up to the last, got {}, {} and {}",
               batch.sequences.size(), batch.offsets.size(), batch.ids.size());
  bool any_ordinary = false;
  for (int64_t row = 0; row < batch.tokens(); row++) any_ordinary |= is_ordinary(ids[row]);
  BERTIE_CHECK(any_ordinary, "masking", "a batch must have a token that can be scored, none of these {} can",
               batch.tokens());

  auto continues_word = [&](int32_t id) {
    return !options_.continues_word.empty() && options_.continues_word[id];
  };
  double scored_below = options_.probability * unit;
  uint64_t key = mix(mix(seed_, masking_stream), static_cast<uint64_t>(pass));
  Array corrupted = batch.ids.clone();
  int32_t* out = corrupted.mutable_data<int32_t>();
  std::vector<int64_t> scored_rows;
  std::vector<int32_t> labels;
  for (uint32_t attempt = 0; scored_rows.empty(); attempt++) {
    for (size_t n = 0; n < batch.sequences.size(); n++) {
      auto sequence = static_cast<uint64_t>(batch.sequences[n]);
      bool in_word = false, word_is_scored = false;
      for (int64_t row = batch.offsets[n]; row < batch.offsets[n + 1]; row++) {
        if (!ordinary_[ids[row]]) {
          in_word = false;
          continue;
        }
        auto position = static_cast<uint32_t>(row - batch.offsets[n]);
        auto draw = philox(
            key, {position, attempt, static_cast<uint32_t>(sequence), static_cast<uint32_t>(sequence >> 32)});
        if (!in_word || !continues_word(ids[row])) word_is_scored = draw[0] < scored_below;
        in_word = true;
        if (!word_is_scored) continue;
        scored_rows.push_back(row);
        labels.push_back(ids[row]);
        if (draw[1] < masked_below) {
          out[row] = mask_id_;
        } else if (draw[1] < replaced_below) {
          out[row] = ordinary_ids_[scale(draw[2], draw[3], ordinary_ids_.size())];
        }
      }
    }
  }
  batch.ids = corrupted;
  return {std::move(batch), Array::from(scored_rows), Array::from(labels)};
}

}  // namespace bertie
