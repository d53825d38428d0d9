// Thirty steps of each task of fine-tuning that PyTorch repeats on the very same batches: a small BERT
// without dropout, AdamW, warm-up, clipping. tests/proofs/finetuning_data.cpp writes the start and the data,
// tests/models/reference/make_finetuning_reference.py trains on them.
#pragma once
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "bertie/models/pretrained.h"
#include "bertie/models/task_objective.h"
#include "bertie/nn/training.h"
#include "tests/models/small_config.h"

namespace bertie {

struct FinetuningRun {
  static constexpr int64_t steps = 30, batch_size = 8, sequences = 60;
  static constexpr uint64_t seed = 6;

  static std::vector<std::string> tasks() { return {"classify", "several", "regress", "tag", "answer"}; }

  // Calls f(std::type_identity<Model>()) with the model of a task.
  template <class F>
  static auto with_model_of(const std::string& task, F f) {
    if (task == "tag") return f(std::type_identity<BertForTokenClassification>());
    if (task == "answer") return f(std::type_identity<BertForQuestionAnswering>());
    return f(std::type_identity<BertForSequenceClassification>());
  }

  // Words are ids 5 … 34, pieces that go on with one 35 … 44.
  static Vocabulary vocabulary() {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < 30; ++i) tokens.push_back("w" + std::to_string(i));
    for (int i = 0; i < 10; ++i) tokens.push_back("##p" + std::to_string(i));
    return Vocabulary(tokens);
  }

  static BertConfig config() {
    BertConfig config = small_config(vocabulary().size());
    config.hidden_size = 16;
    config.intermediate_size = 32;
    config.max_position_embeddings = 24;
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
    return config;
  }

  static void configure(BertConfig& config, const std::string& task) {
    if (task == "answer") return;
    config.labels = {"a", "b", "c"};
    if (task == "classify") config.problem_type = "single_label_classification";
    if (task == "several") config.problem_type = "multi_label_classification";
    if (task != "regress") return;
    config.problem_type = "regression";
    config.labels = {"LABEL_0"};
  }

  // 60 sequences of 3 to 19 tokens, a third of them pairs; of answers pairs of 14 tokens each, since of
  // padded ones transformers' loss takes the padding for places of answers. Labels follow from the tokens.
  static TaskSequences data(const std::string& task) {
    uint64_t state = 1;
    auto below = [&](uint64_t bound) {
      state = state * 6364136223846793005 + 1442695040888963407;
      return static_cast<int32_t>((state >> 33) % bound);
    };
    TaskSequences data;
    std::vector<int32_t> labels;
    std::vector<float> numbers;
    for (int64_t n = 0; n < sequences; ++n) {
      std::vector<int32_t> tokens{2};
      auto add_words = [&](int64_t count) {
        for (; count > 0; --count)
          tokens.push_back(tokens.back() >= 5 && below(3) == 0 ? 35 + below(10) : 5 + below(30));
        tokens.push_back(3);
      };
      add_words(task == "answer" ? 3 : 1 + below(10));
      auto second = static_cast<int64_t>(tokens.size());
      if (task == "answer" || n % 3 == 0) add_words(task == "answer" ? 8 : 1 + below(6));
      data.add(tokens, second, n);

      double sum = 0;
      for (int32_t id : tokens) sum += id;
      if (task == "classify") labels.push_back((tokens[1] - 5) / 10);
      if (task == "regress")
        numbers.push_back(static_cast<float>(sum / static_cast<double>(tokens.size()) / 10 - 1));
      for (int32_t label = 0; label < 3 && task == "several"; ++label)
        numbers.push_back(static_cast<float>(std::any_of(
            tokens.begin(), tokens.end(), [&](int32_t id) { return id >= 5 && id % 6 == label; })));
      for (int32_t id : tokens)
        if (task == "tag")
          labels.push_back(id >= 5 && id < 35 ? (id - 5) / 10 : TaskSequences::ignored_label);
      if (task == "answer") {
        auto least = std::min_element(tokens.begin() + second, tokens.end() - 1);
        auto start = *least > 12 ? 0 : static_cast<int32_t>(least - tokens.begin());
        labels.push_back(start);
        labels.push_back(start == 0 ? 0 : std::min(start + 1, static_cast<int32_t>(tokens.size()) - 2));
      }
    }
    if (task == "several")
      data.labels = Array::from(numbers, {sequences, 3});
    else if (task == "regress")
      data.labels = Array::from(numbers);
    else if (task == "answer")
      data.labels = Array::from(labels, {sequences, 2});
    else
      data.labels = Array::from(labels);
    return data;
  }

  // With the encoder of a folder and the task's head, which is in the folder's data.safetensors.
  template <class Model>
  static std::unique_ptr<Model> start(const std::string& folder, const std::string& task, DType type) {
    BertConfig config = read_bert_config(folder + "/config.json");
    configure(config, task);
    Safetensors weights = read_weights(folder);
    std::string head = task + ".head.";
    for (const NamedArray& tensor : read_safetensors(folder + "/data.safetensors").tensors)
      if (tensor.name.starts_with(head))
        weights.tensors.push_back({tensor.name.substr(head.size()), tensor.array});
    auto model = std::make_unique<Model>(config, Initializer::unset(type));
    load_weights(*model, weights, {.type = type});
    return model;
  }

  // The losses of all steps, the batches in parts of at most 60 tokens.
  template <class Model>
  static std::vector<double> train_model(Model& model, const TaskSequences& data) {
    TaskObjective objective(model, data, {batch_size, seed, 60});
    ParameterBlock parameters(model);
    AdamOptions adam;
    adam.weight_decay = 0.01;
    AdamW optimizer(parameters, adam);
    TrainingOptions options;
    options.steps = steps;
    options.schedule = {5e-3, 0.2, Schedule::Decay::linear};
    std::vector<double> losses;
    train(parameters, optimizer, options, objective, [&](const StepReport& step) {
      losses.push_back(step.loss);
      return true;
    });
    return losses;
  }

  // Of a task, from the folder's start on.
  static std::vector<double> losses(const std::string& folder, const std::string& task, DType type) {
    return with_model_of(task, [&]<class Model>(std::type_identity<Model>) {
      return train_model(*start<Model>(folder, task, type), data(task));
    });
  }
};

}  // namespace bertie
