#include "bertie/data/tasks/task_sequences.h"

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/data/files/content_hash.h"
#include "bertie/data/tasks/encode_in_parts.h"

namespace bertie {
namespace {

void check_exists(const TaskSequences& sequences, int64_t sequence) {
  BERTIE_CHECK(sequence >= 0 && sequence < sequences.size(), "task",
               "there are {} sequences, asked for number {}", sequences.size(), sequence);
}

}  // namespace

int64_t TaskSequences::length(int64_t sequence) const {
  check_exists(*this, sequence);
  return offsets[sequence + 1] - offsets[sequence];
}

std::span<const int32_t> TaskSequences::operator[](int64_t sequence) const {
  int64_t tokens = length(sequence);
  return std::span(ids).subspan(offsets[sequence], tokens);
}

bool TaskSequences::labels_are_of_tokens() const { return labels && labels.shape()[0] != size(); }

void TaskSequences::add(std::span<const int32_t> tokens, int64_t second_begin, int64_t example) {
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  offsets.push_back(static_cast<int64_t>(ids.size()));
  second_begins.push_back(second_begin);
  examples.push_back(example);
}

std::string TaskSequences::hash() const {
  ContentHash hash;
  auto add_all = [&](const void* begin, size_t bytes) {
    hash.add_item(std::string_view(static_cast<const char*>(begin), bytes));
  };
  add_all(ids.data(), ids.size() * sizeof(ids[0]));
  for (const std::vector<int64_t>* numbers : {&offsets, &second_begins, &examples})
    add_all(numbers->data(), numbers->size() * sizeof(int64_t));
  if (labels) {
    hash.add_item(name(labels.dtype()));
    add_all(labels.bytes_begin(), static_cast<size_t>(labels.bytes()));
  }
  return hash.hex();
}

void TaskSequences::append(const TaskSequences& more) {
  int64_t shift = tokens();
  ids.insert(ids.end(), more.ids.begin(), more.ids.end());
  for (size_t i = 1; i < more.offsets.size(); ++i) offsets.push_back(shift + more.offsets[i]);
  second_begins.insert(second_begins.end(), more.second_begins.begin(), more.second_begins.end());
  examples.insert(examples.end(), more.examples.begin(), more.examples.end());
  cut_off += more.cut_off;
  cut_sequences += more.cut_sequences;
}

TaskSequences encode_texts(const Tokenizer& tokenizer, std::span<const TextExample> examples,
                           int64_t max_length) {
  bool has_pairs = std::any_of(examples.begin(), examples.end(),
                               [](const TextExample& example) { return example.text_pair.has_value(); });
  BERTIE_CHECK(
      max_length >= (has_pairs ? 5 : 3), "task",
      "max_length must leave room for the special tokens and one of each text, so be at least {}, got {}",
      has_pairs ? 5 : 3, max_length);
  return encode_in_parts<TaskSequences>(
      static_cast<int64_t>(examples.size()), [&](int64_t i, TaskSequences& sequences) {
        TextInput input{examples[i].text};
        if (examples[i].text_pair) input.second = *examples[i].text_pair;
        thread_local Encoding encoding;
        tokenizer.encode(input, {.max_length = max_length}, encoding);
        const std::vector<int32_t>& types = encoding.token_type_ids;
        sequences.add(encoding.ids, std::find(types.begin(), types.end(), 1) - types.begin(), i);
        sequences.cut_off += encoding.cut_off;
        sequences.cut_sequences += encoding.cut_off > 0 ? 1 : 0;
      });
}

Array class_labels(std::span<const TextExample> examples, const LabelSet& labels) {
  std::vector<int32_t> ids;
  ids.reserve(examples.size());
  for (const TextExample& example : examples) {
    BERTIE_CHECK(example.labels.size() == 1, "task", "{}: there must be one label, got {}",
                 example.place.str(), example.labels.size());
    ids.push_back(labels.id(example.labels[0], example.place));
  }
  return Array::from(ids);
}

Array several_labels(std::span<const TextExample> examples, const LabelSet& labels) {
  Array result = Array::zeros({static_cast<int64_t>(examples.size()), labels.size()}, DType::f32);
  auto* row = result.mutable_data<float>();
  for (const TextExample& example : examples) {
    for (const std::string& label : example.labels) row[labels.id(label, example.place)] = 1;
    row += labels.size();
  }
  return result;
}

Array number_labels(std::span<const TextExample> examples) {
  std::vector<float> values;
  values.reserve(examples.size());
  for (const TextExample& example : examples) {
    BERTIE_CHECK(!example.labels.empty(), "task", "{}: there must be a label, a number", example.place.str());
    values.push_back(static_cast<float>(example.value));
  }
  return Array::from(values);
}

}  // namespace bertie
