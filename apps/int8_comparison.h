// What int8 changes on somebody's own texts, and which layers would be better left in f32.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/run/metrics.h"
#include "bertie/data/tasks/task_sequences.h"

namespace bertie {

struct Int8Comparison {
  TaskSequences texts;
  std::vector<std::string> parts;  // BertModel::parts()
  // The model's logits of such sequences, of [n, L] or [T, L]: in f32, or, with a value, in int8 but for the
  // parts that it names.
  std::function<Array(const TaskSequences& texts, const std::optional<std::vector<std::string>>& keep)>
      logits;
  // What the model says by such logits, to be counted where it differs; none of a number.
  std::function<std::vector<int64_t>(const TaskSequences& texts, const Array& logits)> predictions;
  std::string predicted;  // "labels"
};

// All texts with every product in int8, and then greedily: of the parts the one that brings the logits of
// some of the texts nearest to f32's, beside it the next one, as long as one takes a tenth of the difference
// away. As a table, or as JSON.
void compare_int8(const Int8Comparison& comparison, bool json);

}  // namespace bertie
