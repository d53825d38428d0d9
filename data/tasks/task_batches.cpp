#include "bertie/data/tasks/task_batches.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

// Rows of the first axis, range after range.
class RowCopier {
 public:
  RowCopier(const Array& from, int64_t rows)
      : from_(from), to_(Array::empty(from.shape().with(0, rows), from.dtype())) {
    row_bytes_ = from.shape()[0] > 0 ? from.bytes() / from.shape()[0] : 0;
    next_ = static_cast<char*>(to_.mutable_bytes());
  }
  void copy(int64_t begin, int64_t rows) {
    std::memcpy(next_, static_cast<const char*>(from_.bytes_begin()) + begin * row_bytes_,
                static_cast<size_t>(rows * row_bytes_));
    next_ += rows * row_bytes_;
  }
  Array take() { return std::move(to_); }

 private:
  const Array& from_;
  Array to_;
  int64_t row_bytes_;
  char* next_;
};

std::vector<int64_t> lengths_of(const TaskSequences& data, std::span<const int64_t> sequences) {
  std::vector<int64_t> lengths;
  lengths.reserve(sequences.size());
  for (int64_t sequence : sequences) lengths.push_back(data.length(sequence));
  return lengths;
}

}  // namespace

TaskBatch make_batch(const TaskSequences& data, std::span<const int64_t> sequences) {
  BERTIE_CHECK(!sequences.empty(), "task", "a batch must have at least one sequence, got none");
  TaskBatch batch;
  TokenBatch& tokens = batch.tokens;
  tokens.sequences.assign(sequences.begin(), sequences.end());
  tokens.offsets.push_back(0);
  bool has_pairs = false;
  for (int64_t sequence : sequences) {
    int64_t length = data.length(sequence);
    tokens.offsets.push_back(tokens.offsets.back() + length);
    has_pairs |= data.second_begins[sequence] < length;
  }
  tokens.ids = Array::empty({tokens.tokens()}, DType::i32);
  auto* id = tokens.ids.mutable_data<int32_t>();
  for (int64_t sequence : sequences) id = std::copy(data[sequence].begin(), data[sequence].end(), id);
  if (has_pairs) {
    tokens.token_type_ids = Array::empty({tokens.tokens()}, DType::i32);
    auto* type = tokens.token_type_ids.mutable_data<int32_t>();
    for (int64_t sequence : sequences) {
      type = std::fill_n(type, data.second_begins[sequence], 0);
      type = std::fill_n(type, data.length(sequence) - data.second_begins[sequence], 1);
    }
  }
  if (!data.labels) return batch;
  bool of_tokens = data.labels_are_of_tokens();
  RowCopier labels(data.labels, of_tokens ? tokens.tokens() : static_cast<int64_t>(sequences.size()));
  for (int64_t sequence : sequences)
    labels.copy(of_tokens ? data.offsets[sequence] : sequence, of_tokens ? data.length(sequence) : 1);
  batch.labels = labels.take();
  return batch;
}

TaskSteps::TaskSteps(int64_t sequences, int64_t batch_size, uint64_t seed)
    : sequences_(sequences), batch_size_(batch_size), seed_(seed) {
  BERTIE_CHECK(sequences >= 1, "task", "there must be at least one sequence to train on, got {}", sequences);
  BERTIE_CHECK(batch_size >= 1, "task", "the batch size must be at least 1 sequence, got {}", batch_size);
}

int64_t TaskSteps::steps_per_epoch() const { return (sequences_ - 1) / batch_size_ + 1; }

std::span<const int64_t> TaskSteps::sequences(int64_t step) {
  BERTIE_CHECK(step >= 0, "task", "steps are counted from 0, got {}", step);
  int64_t epoch = step / steps_per_epoch();
  if (epoch != epoch_) {
    order_.resize(sequences_);
    std::iota(order_.begin(), order_.end(), 0);
    order_ = shuffled(std::move(order_), seed_, epoch);
    epoch_ = epoch;
  }
  int64_t begin = step % steps_per_epoch() * batch_size_;
  return std::span(order_).subspan(begin, std::min(batch_size_, sequences_ - begin));
}

std::vector<TaskBatch> make_parts(const TaskSequences& data, std::span<const int64_t> sequences,
                                  int64_t parts) {
  BatchPlan plan = plan_parts({sequences.begin(), sequences.end()}, lengths_of(data, sequences), parts);
  std::vector<TaskBatch> batches;
  for (int64_t p = 0; p < plan.size(); ++p) {
    TaskBatch& batch = batches.emplace_back();
    if (plan[p].empty())
      batch.tokens.offsets = {0};
    else
      batch = make_batch(data, plan[p]);
    batch.tokens.first_sequence = plan.offsets[p];
  }
  return batches;
}

BatchPlan plan_like_lengths(const TaskSequences& data, int64_t batch_tokens) {
  std::vector<int64_t> order(data.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return data.length(a) > data.length(b); });
  std::vector<int64_t> lengths = lengths_of(data, order);
  return plan_batches(std::move(order), lengths, batch_tokens);
}

}  // namespace bertie
