// What differs between the tasks that a BERT is fine-tuned for: their files, labels, sequences and scores.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/run/metrics.h"
#include "bertie/data/tasks/answer_windows.h"
#include "bertie/data/tasks/table_reader.h"
#include "bertie/models/task_objective.h"
#include "bertie/models/task_scores.h"

namespace CLI {
class App;
}

namespace bertie {

enum class TaskKind { classify, regress, tag, answer };

struct TaskOptions {
  TaskKind task = TaskKind::classify;
  std::vector<std::string> train, dev;  // without `train`, labels are the model's
  TableOptions table;                   // how the files of classify and regress are read
  std::optional<int64_t> max_length, stride;
  int64_t max_answer_length = 30;
};

// How files are read and texts cut: those of bert_finetune and bert_predict.
void declare_task_options(CLI::App& app, TaskOptions& options);
// Of a sequence: as asked for, or what is usual, within the model's positions. Throws on more.
int64_t sequence_length(const TaskOptions& options, const BertConfig& config);
// Of a context that is longer: sharing what was asked for, or 128 tokens, at most a third of a sequence.
AnswerWindowOptions window_options(const TaskOptions& options, int64_t max_length);

// Labels for a text or a pair of texts, or a number.
class TextTask {
 public:
  using Model = BertForSequenceClassification;

  // Reads the files and tells what there is to know about them. The options must outlive this, here and
  // below.
  explicit TextTask(const TaskOptions& options);

  // Where the directory has a head for this task: the labels are its. Throws where those of the training data
  // aren't among them.
  void take_labels(const BertConfig& of_directory);
  void configure(BertConfig& config) const;  // labels and problem_type
  void encode(const Tokenizer& tokenizer, int64_t max_length);

  const TaskSequences& training() const { return training_sequences_; }
  const TaskSequences& dev() const { return dev_sequences_; }
  // Of dev's sequences and of all else that its scores depend on.
  std::string dev_hash() const { return dev_sequences_.hash(); }
  TaskScores score(const Array& dev_logits) const;
  // "confusion": {"labels": […], "counts": [[…], …]} by truth, then prediction; "hardest": [{"text", "truth",
  // "predicted", "loss"}, …], those of the largest loss. Each where the task has it.
  Record details(const Array& dev_logits) const;

 private:
  bool is_number() const { return options_.task == TaskKind::regress; }
  bool has_several() const { return options_.table.labels == LabelKind::several; }
  Array labels_of(const std::vector<TextExample>& examples) const;

  const TaskOptions& options_;
  std::vector<TextExample> training_, dev_;
  LabelSet labels_;
  TaskSequences training_sequences_, dev_sequences_;
};

// A tag for each word.
class TagTask {
 public:
  using Model = BertForTokenClassification;
  explicit TagTask(const TaskOptions& options);
  void take_labels(const BertConfig& of_directory);
  void configure(BertConfig& config) const;
  void encode(const Tokenizer& tokenizer, int64_t max_length);
  const TaskSequences& training() const { return training_windows_.sequences; }
  const TaskSequences& dev() const { return dev_windows_.sequences; }
  std::string dev_hash() const;
  TaskScores score(const Array& dev_logits) const;
  Record details(const Array& dev_logits) const;

 private:
  void use_scheme_of_labels();

  TaggedData training_, dev_;
  LabelSet labels_;
  TagWindows training_windows_, dev_windows_;
};

// The span of a text that answers a question.
class AnswerTask {
 public:
  using Model = BertForQuestionAnswering;
  explicit AnswerTask(const TaskOptions& options);
  void take_labels(const BertConfig&) {}
  void configure(BertConfig& config) const;
  void encode(const Tokenizer& tokenizer, int64_t max_length);
  const TaskSequences& training() const { return training_windows_.sequences; }
  const TaskSequences& dev() const { return dev_windows_.sequences; }
  std::string dev_hash() const;
  TaskScores score(const Array& dev_logits) const;
  Record details(const Array& dev_logits) const;

 private:
  AnswerOptions answer_options() const;

  const TaskOptions& options_;
  QuestionData training_, dev_;
  AnswerWindows training_windows_, dev_windows_;
};

}  // namespace bertie
