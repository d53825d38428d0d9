#include "apps/finetune_options.h"

#include <fmt/format.h>

#include "apps/console/options.h"

namespace bertie {
namespace {

// Of the smallest hidden size that is at least as large.
struct RateOfSize {
  int64_t hidden_size;
  double rate;
};
constexpr RateOfSize rates[] = {{128, 3e-4}, {512, 1e-4}, {768, 2e-5}};

std::string rates_table() {
  std::string text = "Default learning rates:\n  hidden size up to  rate\n";
  for (const RateOfSize& r : rates) text += fmt::format("  {:>17}  {}\n", r.hidden_size, r.rate);
  return text;
}

void declare_data(CLI::App& app, FinetuneOptions& o) {
  app.add_option_function<std::string>(
         "--task",
         [&o](const std::string& name) {
           o.task = name == "classify"  ? TaskKind::classify
                    : name == "regress" ? TaskKind::regress
                    : name == "tag"     ? TaskKind::tag
                                        : TaskKind::answer;
         },
         "classify: texts or pairs of them; regress: a number for each; tag: a tag for each word; answer: "
         "questions by a span of a text")
      ->check(CLI::IsMember({"classify", "regress", "tag", "answer"}))
      ->required();
  app.add_option("--model", o.model, "Directory of the model to begin with")
      ->check(check_folder_name)
      ->required();
  take_brackets(app.add_option("--train", o.train,
                               "Files to learn from: tables (TSV, CSV, JSON lines), for tag words with tags "
                               "(CoNLL, WikiANN, JSON lines), for answer SQuAD's JSON; .gz too")
                    ->check(check_file_name)
                    ->required());
  take_brackets(
      app.add_option("--dev", o.dev, "Files of the same kind that decide which weights are the best")
          ->check(check_file_name)
          ->required());
  app.add_flag_callback(
      "--multi-label", [&o] { o.table.labels = LabelKind::several; },
      "classify: any number of labels for each text, separated by commas");
  declare_task_options(app, o);
}

void declare_training(CLI::App& app, FinetuneOptions& o) {
  auto* epochs = app.add_option("--epochs", o.epochs, "Passes over the training data")
                     ->transform(integer_in(1, 1'000'000))
                     ->capture_default_str();
  auto* batch = app.add_option("--batch-size", o.batch_size, "Sequences of a step")
                    ->transform(integer_in(1, 1'000'000))
                    ->capture_default_str();
  declare_update_options(app, o,
                         {"by the model's size, see below", "activations, attention and head", "the model's",
                          "head, order and dropout"});
  app.add_option("--warmup", o.warmup, "Share of the run over which the learning rate rises")
      ->check(number_in(0, 1))
      ->capture_default_str();
  app.add_option("--freeze-layers", o.freeze_layers,
                 "Leave the embeddings and the first so many layers as they are")
      ->transform(integer_in(0, 10'000));
  app.add_option("--patience", o.patience,
                 "End the run where so many evaluations in a row weren't better than the best; 0: never")
      ->transform(integer_in(0, 1'000'000))
      ->capture_default_str();
  app.add_option(
      "--metric", o.metric,
      "What decides which weights are the best on --dev (default: accuracy; with --multi-label, tag "
      "and answer f1; for regress pearson)");
  auto* seeds =
      app.add_option("--seeds", o.seeds,
                     "Train so many times, with the seeds from --seed on; tells mean and spread, and "
                     "keeps the best on --dev")
          ->transform(integer_in(1, 1000))
          ->capture_default_str();
  app.add_flag(
         "--grid", o.grid,
         "Train with every choice of BERT's paper (batches of 16 and 32, rates 5e-5, 3e-5 and 2e-5, 2, 3 "
         "and 4 epochs) and keep the best on --dev")
      ->excludes(seeds)
      ->excludes(epochs)
      ->excludes(batch)
      ->excludes(app.get_option("--learning-rate"));
}

}  // namespace

void declare_finetune_options(CLI::App& app, FinetuneOptions& options) {
  declare_data(app, options);
  declare_training(app, options);
  declare_run_options(app, options, "after each epoch");
  app.footer(rates_table() + "\nColumns with these names are found by themselves: " + usual_columns());
}

double finetuning_rate(const BertConfig& config) {
  for (const RateOfSize& r : rates)
    if (config.hidden_size <= r.hidden_size) return r.rate;
  return std::end(rates)[-1].rate;
}

}  // namespace bertie
