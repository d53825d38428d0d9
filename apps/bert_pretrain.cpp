// Pre-trains a BERT by masked language modeling and writes a model directory.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/language_report.h"
#include "apps/program.h"
#include "bertie/data/batches/corpus.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"
#include "bertie/models/mlm_evaluation.h"
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
  std::optional<int32_t> vocab_size;
  std::optional<int64_t> steps, epochs, batch_tokens, warmup;
  std::optional<double> learning_rate, dropout;
  double weight_decay = 0.01;
};

void declare(CLI::App& app, Options& o) {
  auto positive = CLI::Range(int64_t{1}, int64_t{1} << 30);
  auto* corpus = app.add_option("--corpus", o.corpus,
                                "Text files: a line is a unit of text, a blank line ends a document "
                                "(default: a text of a small language "
                                "whose best possible score is known)")
                     ->check(check_file_name);
  take_brackets(corpus);
  app.add_option("--write-corpus", o.write_corpus,
                 "Write the default text to this file, replacing it, and do nothing else")
      ->check(check_file_name)
      ->excludes(corpus);
  app.add_option("--held-out", o.held_out,
                 "Text file to evaluate on (default: every 20th document or line of the corpus)")
      ->check(check_file_name);
  app.add_option("--vocab", o.vocab,
                 "vocab.txt to use (default: trained from the corpus; the default text has its own)")
      ->check(check_file_name);
  app.add_option("--vocab-size", o.vocab_size, "Entries of a trained vocabulary (default: 8192)")
      ->check(CLI::Range(100, 1'000'000));
  app.add_flag("--cased", o.cased, "Keep upper case and accents");
  auto* preset = app.add_option("--preset", o.preset, "tiny, mini, small, medium or base")
                     ->check(CLI::IsMember(bert_preset_names()))
                     ->capture_default_str();
  app.add_option("--config", o.config,
                 "config.json that describes the model; its vocab_size becomes the vocabulary's")
      ->check(check_file_name)
      ->excludes(preset);
  auto* steps = app.add_option("--steps", o.steps, "Updates of the weights")->check(positive);
  app.add_option("--epochs", o.epochs, "Passes over the corpus, in place of --steps")
      ->check(positive)
      ->excludes(steps);
  app.add_option("--batch-tokens", o.batch_tokens, "Tokens per step")->check(CLI::Range(1, 1 << 20));
  app.add_option("--max-length", o.max_length, "Tokens per sequence; longer lines are split")
      ->check(CLI::Range(3, 65'536))
      ->capture_default_str();
  app.add_option("--learning-rate", o.learning_rate, "Largest learning rate; it falls linearly to zero")
      ->check(number_in(0, 1e3));
  app.add_option("--warmup", o.warmup, "Steps over which the learning rate rises (default: 5 % of all)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  app.add_option("--weight-decay", o.weight_decay, "AdamW's, on all but biases and LayerNorm")
      ->check(number_in(0, 1e3))
      ->capture_default_str();
  app.add_option("--dropout", o.dropout, "Of activations and attention (default: the configuration's)")
      ->check(number_in(0, 0.999));
  take_brackets(
      app.add_option("--unscored", o.unscored, "Words that are neither masked nor scored, e.g. '<' unk '>'"));
  app.add_option("--seed", o.seed, "Seed of weights, order, masks and dropout")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 62))
      ->capture_default_str();
  app.add_option("--output", o.output, "Model directory to write")
      ->check(check_file_name)
      ->capture_default_str();
  app.add_flag("--overwrite", o.overwrite, "Replace a model that is there already");
  app.footer(defaults_table());
}

Corpus read_text(const Options& o) {
  Corpus corpus;
  if (o.corpus.empty())
    add_text(corpus, "the default text", language_text());
  else
    corpus = read_corpus(o.corpus, interrupted);
  return corpus;
}

void report_replaced(const Corpus& corpus) {
  if (corpus.replaced > 0)
    message("Note: {} invalid UTF-8 sequences are read as U+FFFD, the first in {}, line {}", corpus.replaced,
            shown(corpus.first_replaced_source), corpus.first_replaced_line);
}

Vocabulary vocabulary_for(const Options& o, std::span<const std::string_view> lines,
                          const WordSplitterOptions& words) {
  if (!o.vocab.empty()) return Vocabulary::read(o.vocab);
  if (o.corpus.empty() && !o.vocab_size && !o.cased) return language_vocabulary();
  WordPieceTrainerOptions trainer;
  if (o.vocab_size) trainer.size = *o.vocab_size;
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

// The held-out scores at one moment: a line for people, an object for programs. While the training runs, the
// objects are in a file aside: metrics.jsonl belongs to the model in the folder, and a run may fail.
class Evaluation {
 public:
  Evaluation(const Options& o, const TokenizedLines& training, const MlmBatches& held_out,
             const std::vector<bool>& scorable, const Tokenizer& tokenizer, bool language)
      : held_out_(held_out),
        tokenizer_(tokenizer),
        language_(language),
        mask_id_(tokenizer.vocabulary().mask_id()),
        batches_(evaluation_batches(held_out, 5000)),
        control_(with_foreign_context(batches_, held_out.lines(), mask_id_)),
        unigram_(training, scorable),
        unigram_score_(unigram_.evaluate(batches_, mask_id_)),
        folder_(o.output) {
    message("Scored of the held-out text: {}", coverage(batches_, held_out));
  }

  void run(BertForMaskedLM& model, int64_t step, bool last) {
    model.eval();
    MlmScore score = evaluate(model, batches_, mask_id_);
    message(
        "Held-out text after step {}: loss {:.4f} (unigram {:.4f}), accuracy {:.3f} (unigram {:.3f}), {} "
        "positions",
        step, score.loss, unigram_score_.loss, score.accuracy, unigram_score_.accuracy, score.scored);
    Json record{{"step", step}, {"held_out", to_json(score)}, {"unigram", to_json(unigram_score_)}};
    if (last && language_) {
      message("Comparing with the best possible predictions");
      auto start = std::chrono::steady_clock::now();
      LanguageScores scores = score_language(model, held_out_, unigram_);
      std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      message("{} scored positions in {:.1f} s", scores.all().positions, took.count());
      if (!interrupted()) {
        print_message(language_table(scores));
        print_message(filled_masks(model, tokenizer_));
        record["language"] = bertie::to_json(scores);
      }
    } else if (last && !control_.empty()) {
      MlmScore control = evaluate(model, control_, mask_id_),
               control_unigram = unigram_.evaluate(control_, mask_id_);
      message(
          "  where [MASK] hides the word: loss {:.4f} (unigram {:.4f}); with the context of another line: "
          "{:.4f} (unigram {:.4f})",
          score.hidden_loss, unigram_score_.hidden_loss, control.hidden_loss, control_unigram.hidden_loss);
      record["foreign_context"] = to_json(control);
      record["foreign_context_unigram"] = to_json(control_unigram);
    }
    model.train();
    metrics_ += record.dump() + "\n";
    try {
      write_file_atomically(folder_ + "/" + name_, metrics_);
    } catch (const Error& error) {  // no reason to lose the training
      message("Note: {}", error.what());
    }
  }

  // To be called when the model has its place: what is measured from now on, and was, is that model's.
  void model_is_saved() {
    std::error_code ignored;  // the next run() writes all of it, and tells
    std::filesystem::rename(folder_ + "/" + name_, folder_ + "/metrics.jsonl", ignored);
    name_ = "metrics.jsonl";
  }

 private:
  static Json to_json(const MlmScore& score) {
    return {{"loss", score.loss},
            {"accuracy", score.accuracy},
            {"scored", score.scored},
            {"hidden_loss", score.hidden_loss},
            {"hidden", score.hidden}};
  }

  const MlmBatches& held_out_;
  const Tokenizer& tokenizer_;
  bool language_;
  int32_t mask_id_;
  std::vector<MaskedBatch> batches_, control_;
  UnigramModel unigram_;
  MlmScore unigram_score_;
  std::string folder_, name_ = unfinished_metrics, metrics_;
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

// Loss, masked accuracy and speed since the last line of progress.
class Meter {
 public:
  void add(double loss, const Array& logits, const MaskedBatch& batch) {
    Array best = argmax(logits);
    for (int64_t i = 0; i < best.size(); ++i)
      right_ += best.data<int64_t>()[i] == batch.labels.data<int32_t>()[i];
    scored_ += static_cast<double>(best.size());
    loss_ += loss * static_cast<double>(best.size());
    tokens_ += static_cast<double>(batch.tokens.tokens());
  }
  std::string text(int64_t steps_left) {
    double now = seconds(), elapsed = now - since_;
    since_ = now;
    std::string line = fmt::format("loss {:.4f}  accuracy {:.3f}  {:.0f} tokens/s", loss_ / scored_,
                                   right_ / scored_, tokens_ / elapsed);
    loss_ = scored_ = right_ = tokens_ = 0;
    if (steps_left > 0)
      line += "  " + duration(now / static_cast<double>(done) * static_cast<double>(steps_left)) + " left";
    return line;
  }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  int64_t done = 0;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double since_ = 0, loss_ = 0, scored_ = 0, right_ = 0, tokens_ = 0;
};

BertConfig model_config(const Options& o, const Vocabulary& vocabulary) {
  BertConfig config = o.config.empty() ? bert_preset(o.preset) : read_bert_config(o.config);
  config.vocab_size = vocabulary.size();
  if (o.dropout) config.hidden_dropout_prob = config.attention_probs_dropout_prob = *o.dropout;
  BERTIE_CHECK(o.max_length <= config.max_position_embeddings, "max-length",
               "{} is over the model's {} positions", o.max_length, config.max_position_embeddings);
  return config;
}

void pretrain(const Options& o) {
  Corpus corpus = read_text(o), held_out_corpus;
  report_replaced(corpus);
  CorpusSplit split;
  if (o.held_out.empty()) {
    split = split_corpus(corpus);
  } else {
    held_out_corpus = read_corpus({o.held_out}, interrupted);
    report_replaced(held_out_corpus);
    split = {corpus.lines, held_out_corpus.lines};
  }
  TokenizerOptions tokenizer_options;
  tokenizer_options.words.do_lower_case = !o.cased;
  Tokenizer tokenizer(vocabulary_for(o, split.training, tokenizer_options.words), tokenizer_options);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  BertConfig config = model_config(o, vocabulary);

  const Defaults& defaults = defaults_of(config);
  int64_t batch_tokens = o.batch_tokens.value_or(defaults.batch_tokens);
  std::vector<bool> scorable = scorable_tokens(o, vocabulary);
  Masking masking(scorable, vocabulary.mask_id(), o.seed);
  MlmBatches training(tokenize_lines(tokenizer, split.training, o.max_length), vocabulary, masking,
                      batch_tokens, o.seed);
  MlmBatches held_out(tokenize_lines(tokenizer, split.held_out, o.max_length), vocabulary,
                      Masking(scorable, vocabulary.mask_id(), 0), 4096, 0);
  message("Text: {} lines in {} documents, {} tokens to train on, {} held out; vocabulary {}",
          corpus.lines.size(), corpus.documents(), training.tokens_per_pass(), held_out.tokens_per_pass(),
          vocabulary.size());

  BertForMaskedLM model(config, Initializer::normal(config.initializer_range, o.seed));
  ParameterBlock parameters(model);
  prepare_model_folder(o.output, o.overwrite, parameters.values().bytes());
  AdamOptions adam;
  adam.weight_decay = o.weight_decay;
  AdamW optimizer(parameters, adam);
  TrainingOptions options;
  options.steps = o.steps.value_or(o.epochs ? *o.epochs * training.shuffled_pass(0).size() : defaults.steps);
  options.schedule = {o.learning_rate.value_or(defaults.learning_rate), o.warmup.value_or(options.steps / 20),
                      options.steps, Schedule::Decay::linear};
  message("Model: BERT with {} layers of {}, {} parameters; {} steps of {} tokens, learning rate {}",
          config.num_hidden_layers, config.hidden_size, parameters.size(), options.steps, batch_tokens,
          options.schedule.peak);

  bool language = is_language(o, vocabulary, split, held_out);
  if (o.corpus.empty() && !language)
    message(
        "Note: the best possible score is known only for the default text with its own vocabulary, whole "
        "lines and all words scored");
  Evaluation evaluation(o, training.lines(), held_out, scorable, tokenizer, language);
  evaluation.run(model, 0, false);
  Meter meter;
  Progress progress(options.steps);
  BatchStream stream(training);
  MaskedBatch batch;
  Tensor logits;
  int64_t every = std::max<int64_t>(1, options.steps / 4);
  int64_t steps = train(
      parameters, optimizer, options,
      [&](int64_t step) {
        batch = stream.next();
        logits =
            model.logits(bert_input(batch.tokens, o.seed, static_cast<uint64_t>(step)), batch.scored_rows);
        return cross_entropy(logits, batch.labels);
      },
      [&](const StepReport& report) {
        meter.done = report.step + 1;
        meter.add(report.loss, logits.array(), batch);
        logits = Tensor();
        progress.update(meter.done, [&] { return meter.text(options.steps - meter.done); });
        if (meter.done % every == 0 && meter.done < options.steps) {
          progress.clear();
          evaluation.run(model, meter.done, false);
        }
        return !interrupted();
      });
  progress.clear();
  message("{} steps in {} ({:.1f} s)", steps, duration(meter.seconds()), meter.seconds());
  save_pretrained(model, tokenizer, o.output);
  evaluation.model_is_saved();
  evaluation.run(model, steps, true);
  result("{}", o.output);
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
