// Pre-trains a BERT by masked language modeling, with or without next-sentence prediction, and writes a model
// directory.
#include <algorithm>

#include "apps/console/options.h"
#include "apps/console/program.h"
#include "apps/console/progress.h"
#include "apps/held_out_report.h"
#include "apps/pretrain_memory.h"
#include "apps/pretrain_options.h"
#include "apps/pretraining_text.h"
#include "apps/run/model_folder.h"
#include "apps/run/run_facts.h"
#include "apps/run/run_optimizer.h"
#include "apps/run/run_settings.h"
#include "apps/run/together.h"
#include "apps/run/training_run.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/language/language.h"
#include "bertie/models/bert_flops.h"
#include "bertie/models/objectives.h"
#include "bertie/models/pretrained.h"
#include "bertie/nn/gradient_exchange.h"
#include "bertie/nn/shared_work.h"
#include "bertie/ops/sgemm_rate.h"

using namespace bertie;

namespace {

using Options = PretrainOptions;

MlmBatches make_batches(const BertForMaskedLM*, const Options&, const PretrainingText&,
                        const TokenizedLines& lines, const Vocabulary& vocabulary, Masking masking,
                        int64_t batch_tokens, uint64_t seed) {
  return {lines, vocabulary, std::move(masking), batch_tokens, seed};
}
PairBatches make_batches(const BertForPreTraining*, const Options& o, const PretrainingText& text,
                         const TokenizedLines& lines, const Vocabulary& vocabulary, Masking masking,
                         int64_t batch_tokens, uint64_t seed) {
  PairOptions pairs;
  pairs.max_length = o.max_length;
  pairs.single_lines = text.is_language;  // whose best score is known of those
  return {lines, vocabulary, std::move(masking), pairs, batch_tokens, seed};
}

TrainingOptions training_options(const Options& o, const PretrainDefaults& defaults, int64_t batch_tokens,
                                 BatchSource& training) {
  TrainingOptions options;
  options.seconds = o.seconds.value_or(0);
  if (!o.seconds)
    options.steps = o.steps    ? *o.steps
                    : o.epochs ? *o.epochs * training.begin_pass(0)
                    : o.tokens ? (*o.tokens + batch_tokens - 1) / batch_tokens
                               : defaults.steps;
  double warmup = 0.05;
  if (!o.seconds)
    warmup = static_cast<double>(o.warmup.value_or(options.steps / 20)) / static_cast<double>(options.steps);
  options.schedule = {o.learning_rate.value_or(defaults.learning_rate), warmup, o.decay};
  options.max_gradient_norm = o.max_gradient_norm;
  return options;
}

std::string settings_of(const Options& o, const TrainingOptions& options, const BertConfig& config,
                        const Tokenizer& tokenizer, int64_t batch_tokens, int64_t parts,
                        const PretrainingText& text) {
  Record settings{{"objective", o.next_sentence ? "mlm+nsp" : "mlm"},
                  {"mask_probability", o.mask_probability},
                  {"whole_words", o.whole_words},
                  {"unscored", o.unscored},
                  {"max_length", o.max_length},
                  {"text", text.fingerprint},
                  {"held_out_text", text.held_out_fingerprint},
                  {"standard_input", text.standard_input},
                  {"batch_tokens", batch_tokens},
                  {"parts", parts}};
  settings.update(
      common_settings(o, options, config, tokenizer, o.model.empty() ? "" : weights_hash(o.model)));
  return settings.dump();
}

// Everyone's.
PretrainingSums sums_of_all(Processes& processes, const PretrainingObjective& objective) {
  std::vector<PretrainingSums> of_parts = objective.sums_of_parts();
  std::vector<int64_t> sizes;
  for (const PartRange& range : parts_of_processes(std::ssize(of_parts), processes.count()))
    sizes.push_back(range.size() * static_cast<int64_t>(sizeof(PretrainingSums)));
  processes.gather(std::as_writable_bytes(std::span(of_parts)), sizes);
  return sum_of(of_parts);
}

MeteredStep metered(const StepReport& step, const PretrainingSums& sums,
                    const PretrainingObjective& objective, const BertConfig& config) {
  double flops = 0;
  for (const MaskedBatch& part : objective.parts())
    flops += mlm_training_flops(config, part.tokens.offsets, part.labels.size());
  auto scored = static_cast<double>(sums.scored), right = static_cast<double>(sums.scored_right);
  std::vector<Metric> metrics{{"loss", sums.mlm_loss, scored}, {"accuracy", right, scored}};
  if (sums.pairs > 0) {
    auto pairs = static_cast<double>(sums.pairs);
    metrics = {{"loss", step.loss, 1},
               {"mlm_loss", sums.mlm_loss, scored},
               {"accuracy", right, scored},
               {"nsp_loss", sums.nsp_loss, pairs},
               {"nsp_accuracy", static_cast<double>(sums.pairs_right), pairs}};
  }
  return {step.step + 1, step.learning_rate, step.gradient_norm, static_cast<double>(sums.tokens), flops,
          metrics};
}

void note_settings(const Options& o, const TrainingOptions& options, int64_t batch_tokens,
                   const PretrainingText& text) {
  if (options.schedule.warmup > 1)
    message("Note: the warm-up of {} steps is longer than the run, so the learning rate never reaches {}",
            o.warmup.value_or(0), options.schedule.peak);
  if (int64_t tokens = tokens_of(text.training); batch_tokens > tokens)
    message("Note: a pass over the text has only {} tokens, so each step is a whole pass", tokens);
}

// What a process makes ready by itself.
template <class Model>
struct Beginning {
  std::unique_ptr<Model> model;
  Tokenizer tokenizer;
  PretrainingText text = {};
  std::optional<int64_t> max_length = {};
};

template <class Model>
Beginning<Model> load(const Options& o) {
  PretrainedOptions with_new_head;
  with_new_head.allow_new_head = true;
  Pretrained<Model> pretrained = load_pretrained<Model>(o.model, with_new_head);
  for (const LoadNote& note : pretrained.notes) message("Note: {}", note.str());
  check_least_memory(pretrained.model->config(), o);
  pretrained.model->train();
  return {std::move(pretrained.model), std::move(pretrained.tokenizer), {}, pretrained.max_length};
}

template <class Model>
void train_model(Processes& processes, const CLI::App& app, const Options& o, const FactTable& given,
                 ModelFolder* folder, const Beginning<Model>& beginning, Precision precision) {
  Model& model = *beginning.model;
  model.set_precision(precision);
  const Tokenizer& tokenizer = beginning.tokenizer;
  const PretrainingText& text = beginning.text;
  const BertConfig& config = model.config();
  const PretrainDefaults& defaults = defaults_of(config);
  int64_t batch_tokens = o.batch_tokens.value_or(defaults.batch_tokens);
  std::optional<typename HeldOutReport<Model>::Batches> training, held_out;
  TrainingOptions options;
  double sgemm_gflops = 0;
  std::optional<MemoryPlan> plan;
  int64_t parts_needed = 1;
  std::optional<int64_t> continued = parts_to_resume(processes, o);
  processes.let_each([&] {
    BERTIE_CHECK(o.max_length <= config.max_position_embeddings, "max-length",
                 "{} is over the model's {} positions", o.max_length, config.max_position_embeddings);
    const Vocabulary& vocabulary = tokenizer.vocabulary();
    MaskingOptions masking{o.mask_probability, {}};
    if (o.whole_words) masking.continues_word = continuing_tokens(vocabulary);
    training.emplace(make_batches(&model, o, text, text.training, vocabulary,
                                  Masking(text.scorable, vocabulary.mask_id(), o.seed, masking), batch_tokens,
                                  o.seed));
    masking.probability = MaskingOptions::usual_probability;  // so that runs can be compared
    held_out.emplace(make_batches(&model, o, text, text.held_out, vocabulary,
                                  Masking(text.scorable, vocabulary.mask_id(), 0, masking), 4096, 0));
    options = training_options(o, defaults, batch_tokens, *training);
    sgemm_gflops = measure_sgemm_gflops();  // after which products have what they need of memory
    plan.emplace(o, config, text, options.steps, batch_tokens, precision, processes.count());
    if (!o.parts && !continued) parts_needed = plan->fewest_parts();
  });
  int64_t parts = agreed_parts(processes, o, continued, parts_needed);
  PretrainMemory memory;
  std::optional<ParameterBlock> parameters;
  std::unique_ptr<Optimizer> optimizer;
  processes.let_each([&] {
    memory = plan->in(parts, !o.parts && continued);
    parameters.emplace(model);
    if (folder) folder->reserve(parameters->values().bytes());
    optimizer = make_optimizer(o, *parameters, model.bert(), processes);
  });
  message("Model: BERT with {} layers of {}, {} parameters; {} of {} tokens, learning rate {}",
          config.num_hidden_layers, config.hidden_size, parameters->size(),
          o.seconds ? duration(*o.seconds) + " in steps" : fmt::format("{} steps", options.steps),
          batch_tokens, options.schedule.peak);
  if (o.muon) message("Optimizer: {}", optimizer->str());
  message("{}", memory.str());
  note_settings(o, options, batch_tokens, text);

  PretrainingObjective objective(model, *training, {static_cast<uint64_t>(o.seed), parts});
  int64_t evaluation_tokens = least_of_all(&processes, memory.evaluation_tokens);
  std::optional<HeldOutReport<Model>> report;
  processes.let_each([&] {
    report.emplace(text.training, text.held_out, *held_out, text.scorable, tokenizer, text.is_language,
                   evaluation_tokens, &processes);
  });
  run_training({
      .options = o,
      .folder = folder,
      .parameters = *parameters,
      .optimizer = *optimizer,
      .objective = objective,
      .training = options,
      .sgemm_gflops = sgemm_gflops,
      .settings = settings_of(o, options, config, tokenizer, batch_tokens, parts, text),
      .facts = {.title = o.next_sentence ? "BERT, masked words and next sentence"
                                         : "BERT, masked language modeling",
                .tables = {model_facts(config, parameters->size()),
                           training_facts(options, *optimizer, "Tokens per step", batch_tokens),
                           memory.facts(), given}},
      .metered =
          [&](const StepReport& step) {
            return metered(step, sums_of_all(processes, objective), objective, config);
          },
      .evaluate = [&](int64_t steps) -> Evaluation {
        Record record = report->run(model, steps, false);
        double loss = record["held_out"]["loss"];
        return {std::move(record), loss};
      },
      .evaluate_last = [&](int64_t steps) { return report->run(model, steps, true); },
      .save =
          [&](const ModelFolder::Run& run) {
            return folder->save(model, tokenizer, run, beginning.max_length);
          },
      .processes = processes,
      .tell_failure = [&](const std::exception& error) { tell_failure(app.get_name(), processes, error); },
  });
}

template <class Model>
void pretrain(Processes& processes, const CLI::App& app, const Options& o, const FactTable& given) {
  std::optional<ModelFolder> folder;  // the first process's
  processes.let_first([&] {
    folder.emplace(o.output, o.overwrite, resumes(o));
    check_checkpoints(o);
  });
  Precision precision = agreed_precision(processes, o);
  std::optional<PretrainingTextReader> reader;
  BertConfig config;
  processes.let_each([&] {
    for (const std::vector<std::string>* paths : {&o.corpus, &o.held_out})
      BERTIE_CHECK(processes.count() == 1 || std::find(paths->begin(), paths->end(), "-") == paths->end(),
                   "corpus", "standard input goes to one of {} processes alone: name files",
                   processes.count());
    config = o.config.empty() ? bert_preset(o.preset) : read_bert_config(o.config);
    if (o.model.empty()) check_least_memory(config, o);
    reader.emplace(o);
  });
  std::optional<Beginning<Model>> beginning;
  if (o.model.empty())
    beginning.emplace(Beginning<Model>{nullptr, reader->new_tokenizer(processes)});
  else
    processes.let_each([&] { beginning.emplace(load<Model>(o)); });
  beginning->text = reader->tokenize(beginning->tokenizer, processes);
  if (!beginning->model) {
    config.vocab_size = beginning->tokenizer.vocabulary().size();
    if (o.dropout) config.hidden_dropout_prob = config.attention_probs_dropout_prob = *o.dropout;
    processes.let_each([&] {
      beginning->model =
          std::make_unique<Model>(config, Initializer::normal(config.initializer_range, o.seed));
    });
  }
  train_model(processes, app, o, given, folder ? &*folder : nullptr, *beginning, precision);
}

}  // namespace

int main(int argc, char** argv) {
  let_first_speak();
  CLI::App app{
      "Pre-trains a BERT by masked language modeling and writes a model directory that transformers can "
      "load.\n\n"
      "  bert_pretrain --corpus mine.txt --output out\n"
      "  bert_pretrain --corpus texts/ --preset small --time 8h --output out\n"
      "  bert_pretrain --corpus texts/ --preset small --time 8h --output out --resume\n"
      "  bert_pretrain --corpus mine.txt --model other_bert --steps 2000 --output out\n",
      "bert_pretrain"};
  Options options;
  declare_pretrain_options(app, options);
  options.command = resuming_command(argc, argv);
  return run_program(app, argc, argv, [&] {
    run_together(app, options.peer_timeout, [&](Processes& processes) {
      check_same_command(processes, app);
      if (options.write_corpus) {
        processes.let_first([&] { write_file_atomically(*options.write_corpus, language_text()); });
        return result("{}", *options.write_corpus);
      }
      FactTable given = given_options(app);
      options.next_sentence ? pretrain<BertForPreTraining>(processes, app, options, given)
                            : pretrain<BertForMaskedLM>(processes, app, options, given);
    });
  });
}
