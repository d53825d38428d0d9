// Pre-trains a BERT by masked language modeling and writes a model directory.
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/held_out_report.h"
#include "apps/model_folder.h"
#include "apps/options.h"
#include "apps/program.h"
#include "apps/progress.h"
#include "apps/text_report.h"
#include "bertie/data/batches/corpus.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/language/language.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/training.h"
#include "bertie/ops/loss.h"
#include "bertie/ops/reduce.h"

using namespace bertie;
using Json = nlohmann::ordered_json;

namespace {

// What is done where nothing is asked for. Larger models need lower rates and more text.
struct Defaults {
  const char* preset;
  int64_t steps, batch_tokens;
  double learning_rate;
};
constexpr Defaults preset_defaults[] = {{"tiny", 3000, 2048, 3e-3},
                                        {"mini", 1500, 2048, 1e-3},
                                        {"small", 4000, 4096, 5e-4},
                                        {"medium", 10000, 4096, 3e-4},
                                        {"base", 30000, 8192, 1e-4}};

// Those of the smallest preset that is at least as large.
const Defaults& defaults_of(const BertConfig& config) {
  auto size = [](const BertConfig& c) { return c.num_hidden_layers * c.hidden_size * c.hidden_size; };
  for (const Defaults& defaults : preset_defaults)
    if (size(bert_preset(defaults.preset)) >= size(config)) return defaults;
  return preset_defaults[std::size(preset_defaults) - 1];
}

std::string defaults_table() {
  std::string text =
      "Defaults per preset (with --config: of the next larger one):\n  preset   steps  batch-tokens  "
      "learning-rate\n";
  for (const Defaults& d : preset_defaults)
    text +=
        fmt::format("  {:<8} {:>5}  {:>12}  {:>13}\n", d.preset, d.steps, d.batch_tokens, d.learning_rate);
  return text;
}

struct Options {
  std::vector<std::string> corpus, unscored;
  std::string held_out, vocab, preset = "mini", config, output = "bertie-model";
  bool cased = false, overwrite = false;
  int64_t seed = 1;
  int64_t max_length = 128;
  // Without a value: the preset's.
  std::optional<std::string> write_corpus;
  std::optional<int32_t> vocab_size, alphabet;
  std::optional<int64_t> steps, epochs, batch_tokens, warmup;
  std::optional<double> learning_rate, dropout;
  double weight_decay = 0.01;
};

void declare(CLI::App& app, Options& o) {
  auto positive = integer_in(1, int64_t{1} << 30);
  WordPieceTrainerOptions trainer;
  take_brackets(app.add_option("--corpus", o.corpus,
                               "Text files: a line is a unit of text, a blank line ends a document; '-' is "
                               "standard input (default: a text of a small language whose best possible "
                               "score is known)")
                    ->check(check_file_name));
  app.add_option("--held-out", o.held_out,
                 "Text file to evaluate on (default: every 20th document or line of the corpus)")
      ->check(check_file_name);
  auto* vocab = app.add_option("--vocab", o.vocab,
                               "vocab.txt to use (default: trained from the corpus; the default text has its "
                               "own)")
                    ->check(check_file_name);
  app.add_option("--vocab-size", o.vocab_size,
                 fmt::format("Entries of a trained vocabulary (default: {})", trainer.size))
      ->transform(integer_in(100, 1'000'000))
      ->excludes(vocab);
  app.add_option("--alphabet", o.alphabet,
                 fmt::format("Different characters of a trained vocabulary, the most frequent ones; words "
                             "with others become [UNK] (default: {})",
                             trainer.alphabet_limit))
      ->transform(integer_in(1, 1'114'112))
      ->excludes(vocab);
  app.add_flag("--cased", o.cased, "Keep upper case and accents");
  auto* preset = app.add_option("--preset", o.preset, "The model's size")
                     ->check(CLI::IsMember(bert_preset_names()))
                     ->capture_default_str();
  app.add_option("--config", o.config,
                 "config.json that describes the model, in place of --preset; its vocab_size becomes the "
                 "vocabulary's")
      ->check(check_file_name)
      ->excludes(preset);
  auto* steps = app.add_option("--steps", o.steps, "Updates of the weights (default: the preset's)")
                    ->transform(positive);
  app.add_option("--epochs", o.epochs, "Passes over the corpus, in place of --steps")
      ->transform(positive)
      ->excludes(steps);
  app.add_option("--batch-tokens", o.batch_tokens, "Tokens per step (default: the preset's)")
      ->transform(integer_in(1, 1 << 20));
  app.add_option("--max-length", o.max_length, "Tokens per sequence; longer lines are split")
      ->transform(integer_in(3, 65'536))
      ->capture_default_str();
  app.add_option("--learning-rate", o.learning_rate,
                 "Largest learning rate; it falls linearly to zero (default: the preset's)")
      ->check(number_in(0, 1e3));
  app.add_option("--warmup", o.warmup, "Steps over which the learning rate rises (default: 5 % of all)")
      ->transform(integer_in(0, int64_t{1} << 40));
  app.add_option("--weight-decay", o.weight_decay, "AdamW's, on all but biases and LayerNorm")
      ->check(number_in(0, 1e3))
      ->capture_default_str();
  app.add_option("--dropout", o.dropout, "Of activations and attention (default: the configuration's)")
      ->check(number_in(0, 0.999));
  take_brackets(
      app.add_option("--unscored", o.unscored, "Words that are neither masked nor scored, e.g. '<' unk '>'"));
  app.add_option("--seed", o.seed, "Seed of weights, order, masks and dropout")
      ->transform(integer_in(0, int64_t{1} << 62))
      ->capture_default_str();
  app.add_option("--output", o.output, "Model directory to write")
      ->check(check_folder_name)
      ->capture_default_str();
  app.add_flag("--overwrite", o.overwrite, "Replace a model that is there already");
  auto* write_corpus =
      app.add_option("--write-corpus", o.write_corpus,
                     "Write the default text to this file, replacing it, and do nothing else")
          ->check(check_file_name);
  for (CLI::Option* option : app.get_options())
    if (option != write_corpus && option != app.get_help_ptr()) write_corpus->excludes(option);
  app.footer(defaults_table());
}

Corpus read_text(const Options& o) {
  Corpus corpus;
  if (o.corpus.empty())
    add_text(corpus, "the default text", language_text());
  else
    corpus = read_corpus(o.corpus);
  return corpus;
}

Vocabulary vocabulary_for(const Options& o, std::span<const std::string_view> lines,
                          const WordSplitterOptions& words) {
  if (!o.vocab.empty()) return Vocabulary::read(o.vocab);
  if (o.corpus.empty() && !o.vocab_size && !o.alphabet && !o.cased) return language_vocabulary();
  WordPieceTrainerOptions trainer;
  trainer.size = o.vocab_size.value_or(trainer.size);
  trainer.alphabet_limit = o.alphabet.value_or(trainer.alphabet_limit);
  return train_wordpiece(count_words(lines, words), trainer);
}

std::vector<bool> scorable_tokens(const Options& o, const Vocabulary& vocabulary) {
  std::vector<bool> scorable = ordinary_tokens(vocabulary);
  for (const std::string& word : o.unscored) {
    std::optional<int32_t> id = vocabulary.find(word);
    BERTIE_CHECK(id.has_value(), "unscored", "the vocabulary has no token '{}'", word);
    scorable[*id] = false;
  }
  return scorable;
}

// True where the held-out lines are as language() makes them and masked word by word, so that the best
// possible score is known.
bool is_language(const Options& o, const Vocabulary& vocabulary, const CorpusSplit& split,
                 const MlmBatches& held_out) {
  return o.corpus.empty() && o.held_out.empty() && o.unscored.empty() && !o.cased &&
         vocabulary.tokens() == language_vocabulary().tokens() &&
         held_out.lines().size() == static_cast<int64_t>(split.held_out.size());  // none is cut
}

// metrics.jsonl: an object per evaluation.
class Metrics {
 public:
  explicit Metrics(ModelFolder& folder) : folder_(folder) {}

  void add(const Json& record) {
    text_ += record.dump() + "\n";
    folder_.write_metrics(text_);
  }

 private:
  ModelFolder& folder_;
  std::string text_;
};

// The training batches one after the other, pass after pass.
class BatchStream {
 public:
  explicit BatchStream(const MlmBatches& batches) : batches_(batches), plan_(batches.shuffled_pass(0)) {}
  MaskedBatch next() {
    if (position_ == plan_.size()) {
      plan_ = batches_.shuffled_pass(++pass_);
      position_ = 0;
    }
    return batches_.batch(plan_[position_++], pass_);
  }

 private:
  const MlmBatches& batches_;
  BatchPlan plan_;
  int64_t pass_ = 0, position_ = 0;
};

// Loss, masked accuracy and speed of the last steps.
class Meter {
 public:
  // `now`: Progress::worked(), so that evaluations don't count.
  void add(double now, double loss, const Array& logits, const MaskedBatch& batch) {
    Array best = argmax(logits);
    double right = 0, scored = static_cast<double>(best.size());
    for (int64_t i = 0; i < best.size(); ++i)
      right += best.data<int64_t>()[i] == batch.labels.data<int32_t>()[i];
    recent_.add(now, {loss * scored, right, scored, static_cast<double>(batch.tokens.tokens())});
  }
  std::string text() const {
    auto [loss, right, scored, tokens] = recent_.sums();
    return fmt::format("loss {:.3f}  accuracy {:.3f}  {:.0f} tokens/s", loss / scored, right / scored,
                       tokens / recent_.seconds());
  }

 private:
  RecentSums<4> recent_;
};

BertConfig model_config(const Options& o, const Vocabulary& vocabulary) {
  BertConfig config = o.config.empty() ? bert_preset(o.preset) : read_bert_config(o.config);
  config.vocab_size = vocabulary.size();
  if (o.dropout) config.hidden_dropout_prob = config.attention_probs_dropout_prob = *o.dropout;
  BERTIE_CHECK(o.max_length <= config.max_position_embeddings, "max-length",
               "{} is over the model's {} positions", o.max_length, config.max_position_embeddings);
  return config;
}

// The share of [UNK], and notes on what makes scores worth less.
void report_texts(const Options& o, const TokenizedLines& training, const TokenizedLines& held_out,
                  int32_t unk_id) {
  double share = unknown_share(training, unk_id), held_out_share = unknown_share(held_out, unk_id);
  message("[UNK]: {:.2f} % of the tokens to train on, {:.2f} % of those held out", 100 * share,
          100 * held_out_share);
  std::string advice =
      o.vocab.empty() ? "A larger --alphabet knows more characters" : "A --vocab of this text would know it";
  note_unknown("the text to train on", share, advice);
  note_unknown("the held-out text", held_out_share, advice);
  note_known_lines(training, held_out);
}

void pretrain(const Options& o) {
  ModelFolder folder(o.output, o.overwrite);
  std::optional<Progress> stage;
  stage.emplace("Reading the text");
  Corpus corpus = read_text(o), held_out_corpus;
  if (!o.held_out.empty()) held_out_corpus = read_corpus({o.held_out});
  stage.reset();
  note_corpus(corpus);
  note_corpus(held_out_corpus);
  CorpusSplit split =
      o.held_out.empty() ? split_corpus(corpus) : CorpusSplit{corpus.lines, held_out_corpus.lines};
  TokenizerOptions tokenizer_options;
  tokenizer_options.words.do_lower_case = !o.cased;
  stage.emplace("Making the vocabulary");
  Tokenizer tokenizer(vocabulary_for(o, split.training, tokenizer_options.words), tokenizer_options);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  stage.emplace("Tokenizing the text");
  TokenizedLines training_lines = tokenize_lines(tokenizer, split.training, o.max_length),
                 held_out_lines = tokenize_lines(tokenizer, split.held_out, o.max_length);
  stage.reset();
  BertConfig config = model_config(o, vocabulary);

  const Defaults& defaults = defaults_of(config);
  int64_t batch_tokens = o.batch_tokens.value_or(defaults.batch_tokens);
  std::vector<bool> scorable = scorable_tokens(o, vocabulary);
  check_scorable("corpus", "the text to train on", training_lines, scorable, vocabulary.unk_id());
  check_scorable("held-out", "the held-out text", held_out_lines, scorable, vocabulary.unk_id());
  MlmBatches training(std::move(training_lines), vocabulary, Masking(scorable, vocabulary.mask_id(), o.seed),
                      batch_tokens, o.seed);
  MlmBatches held_out(std::move(held_out_lines), vocabulary, Masking(scorable, vocabulary.mask_id(), 0), 4096,
                      0);
  message("Text: {} lines in {} documents, {} tokens to train on, {} held out; vocabulary {}",
          corpus.lines.size(), corpus.documents(), training.tokens_per_pass(), held_out.tokens_per_pass(),
          vocabulary.size());
  report_texts(o, training.lines(), held_out.lines(), vocabulary.unk_id());

  BertForMaskedLM model(config, Initializer::normal(config.initializer_range, o.seed));
  ParameterBlock parameters(model);
  folder.reserve(parameters.values().bytes());
  AdamOptions adam;
  adam.weight_decay = o.weight_decay;
  AdamW optimizer(parameters, adam);
  TrainingOptions options;
  options.steps = o.steps.value_or(o.epochs ? *o.epochs * training.shuffled_pass(0).size() : defaults.steps);
  int64_t warmup = o.warmup.value_or(options.steps / 20);
  options.schedule = {o.learning_rate.value_or(defaults.learning_rate),
                      static_cast<double>(warmup) / static_cast<double>(options.steps),
                      Schedule::Decay::linear};
  message("Model: BERT with {} layers of {}, {} parameters; {} steps of {} tokens, learning rate {}",
          config.num_hidden_layers, config.hidden_size, parameters.size(), options.steps, batch_tokens,
          options.schedule.peak);

  if (warmup > options.steps)
    message("Note: the warm-up of {} steps is longer than the run, so the learning rate never reaches {}",
            warmup, options.schedule.peak);
  if (batch_tokens > training.tokens_per_pass())
    message("Note: a pass over the text has only {} tokens, so each step is a whole pass",
            training.tokens_per_pass());

  bool language = is_language(o, vocabulary, split, held_out);
  if (o.corpus.empty() && !language)
    message(
        "Note: the best possible score is known only for the default text with its own vocabulary, whole "
        "lines and all words scored");
  HeldOutReport report(training.lines(), held_out, scorable, tokenizer, language);
  Metrics metrics(folder);
  metrics.add(report.run(model, 0, false));
  Meter meter;
  std::optional<Progress> progress(std::in_place, "Training", options.steps);
  BatchStream stream(training);
  MaskedBatch batch;
  Tensor logits;
  int64_t every = std::max<int64_t>(1, options.steps / 4);
  LossOfStep objective([&](int64_t step) {
    batch = stream.next();
    logits = model.logits(bert_input(batch.tokens, o.seed, static_cast<uint64_t>(step)), batch.scored_rows);
    return cross_entropy(logits, batch.labels);
  });
  int64_t done = 0;
  auto after_step = [&](const StepReport& step) {
    done = step.step + 1;
    meter.add(progress->worked(), step.loss, logits.array(), batch);
    logits = Tensor();
    progress->update(done, [&] { return meter.text(); });
    if (done % every == 0 && done < options.steps && !interrupted()) {
      progress->pause();
      metrics.add(report.run(model, done, false));
      progress->resume();
    }
    return !interrupted();
  };
  folder.begin();
  try {
    train(parameters, optimizer, options, objective, after_step);
  } catch (const std::exception&) {
    progress.reset();
    if (done > 0) folder.rescue(model, tokenizer, {done, options.steps});
    throw;
  }
  double seconds = progress->elapsed();
  progress.reset();
  message("{} steps in {} ({:.1f} s)", done, duration(seconds), seconds);
  result("{}", folder.save(model, tokenizer, {done, options.steps}));
  metrics.add(report.run(model, done, true));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Pre-trains a BERT by masked language modeling and writes a model directory that transformers can "
      "load.\n\n"
      "  bert_pretrain --corpus mine.txt --output out\n"
      "  bert_pretrain --corpus a.txt b.txt --preset small --epochs 10 --output out\n",
      "bert_pretrain"};
  Options options;
  declare(app, options);
  return run_program(app, argc, argv, [&] {
    if (!options.write_corpus) return pretrain(options);
    write_file_atomically(*options.write_corpus, language_text());
    result("{}", *options.write_corpus);
  });
}
