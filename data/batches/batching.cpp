#include "bertie/data/batches/batching.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/autograd/random.h"

namespace bertie {
namespace {

constexpr uint64_t shuffle_stream = 0x73687566;  // "shuf"; separates this use of the seed from others

// Of the sequence with [CLS] and [SEP].
int64_t length_of(const TokenizedLines& lines, int64_t sequence) {
  return static_cast<int64_t>(lines[sequence].size()) + 2;
}

void check_lengths(const std::vector<int64_t>& order, std::span<const int64_t> lengths) {
  BERTIE_CHECK(lengths.size() == order.size(), "batch", "{} sequences have {} lengths", order.size(),
               lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i)
    BERTIE_CHECK(lengths[i] >= 1, "batch", "a sequence must have at least one token, number {} has {}",
                 order[i], lengths[i]);
}

// Of millions of sequences, so nothing is kept of each but its place. length(order, i): that of order[i].
template <class Length>
BatchPlan plan_by_budget(std::vector<int64_t> order, const Length& length, int64_t batch_tokens) {
  BERTIE_CHECK(batch_tokens >= 1, "batch", "the tokens of a batch must be at least 1, got {}", batch_tokens);
  BatchPlan plan{std::move(order), {0}};
  int64_t tokens = 0;
  for (size_t i = 0; i < plan.order.size(); i++) {
    int64_t more = length(plan.order, i);
    if (tokens > 0 && more > batch_tokens - tokens) {
      plan.offsets.push_back(static_cast<int64_t>(i));
      tokens = 0;
    }
    tokens += more;
  }
  if (tokens > 0) plan.offsets.push_back(static_cast<int64_t>(plan.order.size()));
  return plan;
}

}  // namespace

std::vector<int64_t> shuffled(std::vector<int64_t> sequences, uint64_t seed, int64_t pass) {
  Random random(mix(seed, static_cast<uint64_t>(pass)), shuffle_stream);
  for (size_t i = sequences.size(); i > 1; i--) std::swap(sequences[i - 1], sequences[random.below(i)]);
  return sequences;
}

BatchPlan plan_batches(std::vector<int64_t> order, std::span<const int64_t> lengths, int64_t batch_tokens) {
  check_lengths(order, lengths);
  return plan_by_budget(
      std::move(order), [&](const std::vector<int64_t>&, size_t i) { return lengths[i]; }, batch_tokens);
}

BatchPlan plan_parts(std::vector<int64_t> order, std::span<const int64_t> lengths, int64_t parts) {
  BERTIE_CHECK(parts >= 1, "batch", "a batch must have at least one part, got {}", parts);
  check_lengths(order, lengths);
  auto count = std::ssize(order);
  std::vector<int64_t> ends{0};  // tokens up to each boundary
  for (int64_t length : lengths) ends.push_back(ends.back() + length);
  int64_t least = count >= parts ? 1 : 0;  // sequences of a part
  BatchPlan plan{std::move(order), {0}};
  for (int64_t part = 1; part < parts; ++part) {
    auto distance = [&](int64_t boundary) { return std::abs(ends[boundary] * parts - ends.back() * part); };
    int64_t boundary = plan.offsets.back() + least, last = count - least * (parts - part);
    while (boundary < last && distance(boundary + 1) < distance(boundary)) ++boundary;
    plan.offsets.push_back(boundary);
  }
  plan.offsets.push_back(count);
  return plan;
}

BatchPlan plan_batches(const TokenizedLines& lines, std::vector<int64_t> order, int64_t batch_tokens) {
  return plan_by_budget(
      std::move(order),
      [&](const std::vector<int64_t>& sequences, size_t i) { return length_of(lines, sequences[i]); },
      batch_tokens);
}

TokenBatch make_batch(const TokenizedLines& lines, std::span<const int64_t> sequences,
                      const Vocabulary& vocabulary) {
  BERTIE_CHECK(!sequences.empty(), "batch", "a batch must have at least one sequence, got none");
  TokenBatch batch;
  batch.sequences.assign(sequences.begin(), sequences.end());
  batch.offsets.push_back(0);
  for (int64_t sequence : sequences)
    batch.offsets.push_back(batch.offsets.back() + length_of(lines, sequence));
  batch.ids = Array::empty({batch.tokens()}, DType::i32);
  int32_t* out = batch.ids.mutable_data<int32_t>();
  for (int64_t sequence : sequences) {
    *out++ = vocabulary.cls_id();
    out = std::copy(lines[sequence].begin(), lines[sequence].end(), out);
    *out++ = vocabulary.sep_id();
  }
  return batch;
}

}  // namespace bertie
