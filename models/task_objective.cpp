#include "bertie/models/task_objective.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "bertie/nn/shared_work.h"
#include "bertie/ops/layout.h"

namespace bertie {

Tensor task_logits(const BertForSequenceClassification& model, const BertInput& input) {
  return model.logits(input);
}

Tensor task_logits(const BertForTokenClassification& model, const BertInput& input) {
  return model.logits(input);
}

Tensor task_logits(const BertForQuestionAnswering& model, const BertInput& input) {
  BertForQuestionAnswering::Logits logits = model.logits(input);
  return stack({logits.start_logits, logits.end_logits}, 1);
}

double losses_in(const Array& labels) {
  BERTIE_CHECK(labels, "fine-tune", "the data needs labels");
  if (labels.dtype() != DType::i32) return static_cast<double>(labels.size());
  if (labels.shape().rank() == 2) return static_cast<double>(labels.shape()[0]);  // answers
  const auto* ids = labels.data<int32_t>();
  auto ignored = std::count(ids, ids + labels.size(), TaskSequences::ignored_label);
  return static_cast<double>(labels.size() - ignored);
}

Tensor task_loss(const BertForSequenceClassification& model, const Tensor& logits, const Packing&,
                 const Array& labels, double denominator) {
  bool are_numbers = labels && labels.dtype() == DType::f32;
  return model.loss(logits, are_numbers ? labels.cast(logits.dtype()) : labels, denominator);
}

Tensor task_loss(const BertForTokenClassification& model, const Tensor& logits, const Packing&,
                 const Array& labels, double denominator) {
  return model.loss(logits, labels, denominator);
}

Tensor task_loss(const BertForQuestionAnswering& model, const Tensor& logits, const Packing& packing,
                 const Array& labels, double denominator) {
  std::vector<int32_t> starts, ends;
  BERTIE_CHECK(labels && labels.dtype() == DType::i32 && labels.shape().rank() == 2 && labels.shape()[1] == 2,
               "loss", "the labels of answers must be i32 [N, 2], got {}", labels.shape());
  for (int64_t n = 0; n < labels.shape()[0]; ++n) {
    starts.push_back(labels.data<int32_t>()[2 * n]);
    ends.push_back(labels.data<int32_t>()[2 * n + 1]);
  }
  std::vector<Tensor> both = split(logits, 2, 1);
  return model.loss({reshape(both[0], {-1}), reshape(both[1], {-1})}, packing, Array::from(starts),
                    Array::from(ends), denominator);
}

TaskObjective::TaskObjective(const TaskSequences& data, const Options& options)
    : data_(data), options_(options), steps_(data.size(), options.batch_size, options.seed) {
  BERTIE_CHECK(data.labels, "fine-tune", "the data needs labels");
}

int64_t TaskObjective::begin_step(int64_t step) {
  parts_.clear();  // its memory is needed no more
  parts_ = make_parts(data_, steps_.sequences(step), options_.parts);
  step_ = static_cast<uint64_t>(step);
  double losses = 0;
  for (const TaskBatch& part : parts_)
    if (part.labels) losses += losses_in(part.labels);  // else it is empty
  denominator_ = std::max(losses, 1.0);  // a step without any has none in the sum either: 0 over any number
  return static_cast<int64_t>(parts_.size());
}

Tensor TaskObjective::loss(int64_t part) {
  const TaskBatch& batch = parts_.at(part);
  if (batch.tokens.sequences.empty()) return {};
  return part_loss_(bert_input(batch.tokens, options_.seed, step_), batch.labels, denominator_);
}

std::string TaskObjective::data_of(int64_t part) const {
  std::vector<int64_t> examples;
  for (int64_t sequence : parts_.at(part).tokens.sequences) examples.push_back(data_.examples[sequence] + 1);
  if (examples.empty()) return {};
  constexpr size_t most = 8;
  std::string more = examples.size() > most ? fmt::format(", …: {} in all", examples.size()) : "";
  return fmt::format("examples {}{}",
                     fmt::join(std::span(examples).first(std::min(most, examples.size())), ", "), more);
}

namespace {

// Logits [rows, columns] as bytes, from which they are made again where they weren't computed.
struct LogitsShape {
  int64_t rows = 0, columns = 0;
  DType dtype = DType::f32;
};
std::string logits_to_bytes(const Array& logits) {
  LogitsShape shape{logits.shape()[0], logits.shape()[1], logits.dtype()};
  std::string bytes(reinterpret_cast<const char*>(&shape), sizeof(shape));
  return bytes.append(static_cast<const char*>(logits.bytes_begin()), logits.bytes());
}
Array logits_from_bytes(std::string_view bytes) {
  LogitsShape shape;
  std::memcpy(&shape, bytes.data(), sizeof(shape));
  Array logits = Array::empty({shape.rows, shape.columns}, shape.dtype);
  std::memcpy(logits.mutable_bytes(), bytes.data() + sizeof(shape), logits.bytes());
  return logits;
}

}  // namespace

Array predict_logits(const LogitsOfBatch& logits_of, const TaskSequences& data, int64_t batch_tokens,
                     const std::function<void(int64_t done)>& after_batch, Processes* processes) {
  NoGrad no_grad;
  BatchPlan plan = plan_like_lengths(data, batch_tokens);
  Array all;
  int64_t done = 0;
  bool of_tokens = false;
  auto compute = [&](int64_t b) {
    TaskBatch batch = make_batch(data, plan[b]);
    return logits_to_bytes(logits_of(bert_input(batch.tokens)).array());
  };
  auto put = [&](int64_t b, std::string_view bytes) {
    Array logits = logits_from_bytes(bytes);
    std::span<const int64_t> sequences = plan[b];
    auto count = static_cast<int64_t>(sequences.size());
    if (!all) {  // of the longest sequences: where these have a token each, all have, and both are the same
      of_tokens = logits.shape()[0] != count;
      all = Array::empty({of_tokens ? data.tokens() : data.size(), logits.shape()[1]}, logits.dtype());
    }
    int64_t row = 0;
    for (int64_t sequence : sequences) {
      int64_t begin = of_tokens ? data.offsets[sequence] : sequence,
              end = of_tokens ? data.offsets[sequence + 1] : sequence + 1;
      all.rows(begin, end).copy_from(logits.rows(row, row + end - begin));
      row += end - begin;
    }
    done += count;
    if (after_batch) after_batch(done);
  };
  share_work(processes, plan.size(), compute, put);
  return all;
}

}  // namespace bertie
