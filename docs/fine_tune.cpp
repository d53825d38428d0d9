// Fine-tunes a BERT on rows in memory, predicts, and saves: docs/embed_in_your_program.md.
//   fine_tune MODEL OUTPUT
#include <cstdio>

#include <bertie/models/pretrained.h>
#include <bertie/models/task_objective.h>
#include <bertie/models/task_scores.h>
#include <bertie/nn/training.h>

using namespace bertie;

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: fine_tune MODEL OUTPUT\n"), 2;
  std::vector<TextExample> rows;
  for (const char* animal : {"dog", "cat", "horse", "bird"})
    for (auto [opinion, label] :
         {std::pair{"love", "good"}, {"like", "good"}, {"fear", "bad"}, {"hate", "bad"}})
      rows.push_back({.text = std::string("I ") + opinion + " this " + animal + ".", .labels = {label}});

  // The encoder of the directory, with a new head for these labels.
  LabelSet labels = LabelSet::of(rows);
  PretrainedOptions options{.replace_head = true};
  options.configure = [&](BertConfig& config) {
    config.labels = labels.names();
    config.problem_type = "single_label_classification";
  };
  auto [model, tokenizer, max_length, notes] =
      load_pretrained<BertForSequenceClassification>(argv[1], options);
  TaskSequences data = encode_texts(tokenizer, rows, max_length);
  data.labels = class_labels(rows, labels);

  model->train();
  ParameterBlock parameters(*model);
  AdamW optimizer(parameters, {.weight_decay = 0.01});
  TaskObjective objective(*model, data, {.batch_size = 8, .seed = 1});
  TrainingOptions run{.steps = 20 * objective.steps_per_epoch(), .schedule = {.peak = 1e-3, .warmup = 0.1}};
  train(parameters, optimizer, run, objective, [&](const StepReport& step) {
    if (step.step % 10 == 0) std::printf("step %2ld: loss %.3f\n", static_cast<long>(step.step), step.loss);
    return true;
  });

  model->eval();
  std::vector<TextExample> questions{{.text = "I love this lion."}, {.text = "I hate this snake."}};
  Array logits = predict_logits(*model, encode_texts(tokenizer, questions, max_length));
  for (size_t i = 0; i < questions.size(); ++i) {
    int32_t label = best_label(logits, static_cast<int64_t>(i));
    std::printf("%s %s (%.2f)\n", questions[i].text.c_str(), labels.name(label).c_str(),
                label_probabilities(logits, static_cast<int64_t>(i), false)[label]);
  }
  save_pretrained(*model, tokenizer, argv[2], max_length);
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
