#include "apps/pretrain_options.h"

#include <fmt/format.h>

#include "apps/console/options.h"
#include "apps/training_text.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"

namespace bertie {
namespace {

constexpr PretrainDefaults preset_defaults[] = {{"tiny", 3000, 2048, 2e-3},
                                                {"mini", 1500, 2048, 1e-3},
                                                {"small", 4000, 4096, 1e-3},
                                                {"medium", 10000, 4096, 6e-4},
                                                {"base", 30000, 8192, 2e-4}};
constexpr int64_t many = int64_t{1} << 40;

std::string defaults_table() {
  std::string text =
      "Defaults per preset (with --config or --model: of the next larger one):\n  preset   steps  "
      "batch-tokens  learning-rate\n";
  for (const PretrainDefaults& d : preset_defaults)
    text +=
        fmt::format("  {:<8} {:>5}  {:>12}  {:>13}\n", d.preset, d.steps, d.batch_tokens, d.learning_rate);
  return text;
}

void declare_text(CLI::App& app, PretrainOptions& o) {
  take_brackets(
      app.add_option("--corpus", o.corpus,
                     std::string(text_paths_help) +
                         " (default: a text of a small language whose best possible score is known)")
          ->check(check_file_name));
  take_brackets(
      app.add_option("--held-out", o.held_out,
                     "Text to evaluate on, as --corpus (default: every 20th document or line of the corpus)")
          ->check(check_file_name));
  add_documents_option(app, o.documents);
  app.add_option("--cache", o.cache,
                 "Folder of tokenized text, used again while nothing changed (default: --output with -cache "
                 "behind it)")
      ->check(check_folder_name);
}

void declare_model(CLI::App& app, PretrainOptions& o) {
  WordPieceTrainerOptions trainer;
  auto* vocab = app.add_option("--vocab", o.vocab,
                               "vocab.txt to use (default: trained from the corpus; the default text has its "
                               "own)")
                    ->check(check_file_name);
  auto* vocab_size =
      app.add_option("--vocab-size", o.vocab_size,
                     fmt::format("Entries of a trained vocabulary (default: {})", trainer.size))
          ->transform(integer_in(100, 1'000'000))
          ->excludes(vocab);
  auto* alphabet =
      app.add_option("--alphabet", o.alphabet,
                     fmt::format("Different characters of a trained vocabulary, the most frequent ones; "
                                 "words with others become [UNK] (default: {})",
                                 trainer.alphabet_limit))
          ->transform(integer_in(1, 1'114'112))
          ->excludes(vocab);
  auto* cased = app.add_flag("--cased", o.cased, "Keep upper case and accents");
  auto* preset = app.add_option("--preset", o.preset, "The model's size")
                     ->check(CLI::IsMember(bert_preset_names()))
                     ->capture_default_str();
  auto* config = app.add_option("--config", o.config,
                                "config.json that describes the model, in place of --preset; its vocab_size "
                                "becomes the vocabulary's")
                     ->check(check_file_name)
                     ->excludes(preset);
  app.add_option("--model", o.model,
                 "Model directory to train on from, with its configuration and vocabulary, in place of a "
                 "model that begins at random")
      ->check(check_folder_name)
      ->excludes(vocab)
      ->excludes(vocab_size)
      ->excludes(alphabet)
      ->excludes(cased)
      ->excludes(preset)
      ->excludes(config);
}

void declare_objective(CLI::App& app, PretrainOptions& o) {
  app.add_option_function<std::string>(
         "--objective", [&o](const std::string& name) { o.next_sentence = name == "mlm+nsp"; },
         "Masked words alone, or with next-sentence prediction, on pairs of segments of the documents "
         "(default: mlm)")
      ->check(CLI::IsMember({"mlm", "mlm+nsp"}));
  app.add_option("--mask-probability", o.mask_probability,
                 "Share of the tokens to predict in training; of the held-out text it is 0.15")
      ->check(number_in(0.01, 1))
      ->capture_default_str();
  app.add_flag("--whole-words", o.whole_words, "Mask all pieces of a word or none");
  take_brackets(
      app.add_option("--unscored", o.unscored, "Words that are neither masked nor scored, e.g. '<' unk '>'"));
  app.add_option("--max-length", o.max_length, "Tokens per sequence; longer lines are split")
      ->transform(integer_in(5, 65'536))
      ->capture_default_str();
}

void declare_training(CLI::App& app, PretrainOptions& o) {
  auto positive = integer_in(1, int64_t{1} << 30);
  auto* steps = app.add_option("--steps", o.steps, "Updates of the weights (default: the preset's)")
                    ->transform(positive);
  auto* epochs = app.add_option("--epochs", o.epochs, "Passes over the corpus, in place of --steps")
                     ->transform(positive)
                     ->excludes(steps);
  auto* tokens = app.add_option("--tokens", o.tokens, "Tokens to train on, as 100M, in place of --steps")
                     ->transform(integer_in(1, int64_t{1} << 50))
                     ->excludes(steps)
                     ->excludes(epochs);
  auto* time =
      app.add_option("--time", o.seconds,
                     "Time to train in, as 8h, 90m or 30s, in place of --steps; the learning rate is zero "
                     "when it ends")
          ->transform(duration_in(1, 1e9))
          ->excludes(steps)
          ->excludes(epochs)
          ->excludes(tokens);
  app.add_option("--batch-tokens", o.batch_tokens, "Tokens per step (default: the preset's)")
      ->transform(integer_in(1, 1 << 20));
  app.add_option(
         "--memory-limit", o.memory_limit,
         "Memory that the program may have, in bytes, as 8G or 500M: without --parts, a step's batch has "
         "the fewest that fit (default: no limit but the machine's)")
      ->transform(integer_in(1'000'000, many));
  declare_update_options(app, o,
                         {"the preset's", "activations and attention", "the configuration's",
                          "weights, order, masks and dropout"});
  app.get_option("--model")->excludes(app.get_option("--dropout"));
  app.add_option("--warmup", o.warmup, "Steps over which the learning rate rises (default: 5 % of all)")
      ->transform(integer_in(0, many))
      ->excludes(time);
  app.add_option_function<std::string>(
         "--decay",
         [&o](const std::string& name) {
           o.decay = name == "cosine" ? Schedule::Decay::cosine : Schedule::Decay::linear;
         },
         "How the learning rate falls (default: linear)")
      ->check(CLI::IsMember({"linear", "cosine"}));
}

}  // namespace

void declare_pretrain_options(CLI::App& app, PretrainOptions& options) {
  declare_text(app, options);
  declare_model(app, options);
  declare_objective(app, options);
  declare_training(app, options);
  declare_run_options(app, options, "a quarter of the run");
  auto* write_corpus =
      app.add_option("--write-corpus", options.write_corpus,
                     "Write the default text to this file, replacing it, and do nothing else")
          ->check(check_file_name);
  for (CLI::Option* option : app.get_options())
    if (option != write_corpus && option != app.get_help_ptr()) write_corpus->excludes(option);
  app.footer(defaults_table());
}

const PretrainDefaults& defaults_of(const BertConfig& config) {
  auto size = [](const BertConfig& c) { return c.num_hidden_layers * c.hidden_size * c.hidden_size; };
  for (const PretrainDefaults& defaults : preset_defaults)
    if (size(bert_preset(defaults.preset)) >= size(config)) return defaults;
  return preset_defaults[std::size(preset_defaults) - 1];
}
}  // namespace bertie
